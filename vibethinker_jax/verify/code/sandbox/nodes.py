"""LeetCode's binary trees and linked lists: level order and plain lists outside, objects for the program.

  make('TreeNode', 0, [1, None, 2]).right.val == 2

Standard library alone: the sandbox's helper loads it.
"""

import collections
import re

MAX_NODES = 10**6  # of one result: a list may run in a circle


class TreeNode:
  def __init__(self, val=0, left=None, right=None):
    self.val, self.left, self.right = val, left, right


class ListNode:
  def __init__(self, val=0, next=None):
    self.val, self.next = val, next


KINDS = {'TreeNode': TreeNode, 'ListNode': ListNode}


def parse(text):
  """'List[Optional[ListNode]]' -> ('ListNode', 1): the kind of node, '' for plain data, and the lists around it.

  Raises ValueError for a kind of node that is none of KINDS.
  """
  text = re.sub(r'\s|Optional\[|\|None|["\']', '', text or '')
  kind = next((name for name in KINDS if re.search(rf'\b{name}\b', text)), '')
  if not kind and 'Node' in text:
    raise ValueError(f'there is no {text!r} among {", ".join(KINDS)}')
  return kind, len(re.findall(r'\b[Ll]ist\[', text)) if kind else 0


def make(kind, depth, value, classes=None):
  """The object of a value: depth lists around trees of level order lists, or linked lists of plain lists.

  Args:
    kind, depth: see parse; '' leaves the value as it is.
    value: plain data; None is an empty tree or list.
    classes: {kind: class of the nodes} instead of KINDS.
  Raises:
    ValueError, TypeError: the value is no such list.
  """
  if not kind:
    return value
  if depth:
    return [make(kind, depth - 1, part, classes) for part in value]
  if value is not None and not isinstance(value, list):
    raise ValueError(f'{kind} is written as a list, not as {value!r}')
  node = (classes or KINDS)[kind]
  return (_tree if kind == 'TreeNode' else _chain)(node, value or [])


def _tree(node, values):
  if not values or values[0] is None:
    return None
  root, at = node(values[0]), 1
  waiting = collections.deque([root])
  while at < len(values):
    if not waiting:
      raise ValueError('a level order list goes on after its last node')
    parent = waiting.popleft()
    for side, value in zip(('left', 'right'), values[at : at + 2]):
      if value is not None:
        setattr(parent, side, node(value))
        waiting.append(getattr(parent, side))
    at += 2
  return root


def _chain(node, values):
  head = None
  for value in reversed(values):
    rest, head = head, node(value)
    head.next = rest
  return head


def levels(kind, depth, value):
  """What make made, as plain data; an empty tree or list is []. Nodes are whatever has val, left and right, or next.

  Raises ValueError for over MAX_NODES nodes, AttributeError for what is no node.
  """
  if not kind:
    return value
  if depth:
    return [levels(kind, depth - 1, part) for part in value]
  found, waiting = [], collections.deque([value])
  while waiting:
    node = waiting.popleft()
    if len(found) > MAX_NODES:
      raise ValueError(f'over {MAX_NODES} nodes: it runs in a circle')
    if kind == 'TreeNode':
      found.append(None if node is None else node.val)
      waiting.extend(() if node is None else (node.left, node.right))
    elif node is not None:
      found.append(node.val)
      waiting.append(node.next)
  while found and found[-1] is None:
    found.pop()
  return found
