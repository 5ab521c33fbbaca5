"""LeetCode's trees and linked lists as arguments and results."""

import pytest

from vibethinker_jax.verify.code import programs as code
from vibethinker_jax.verify.code.sandbox import nodes

INVERT = {
  'function': 'invertTree',
  'types': {'args': ['Optional[TreeNode]'], 'returns': 'Optional[TreeNode]'},
  'cases': [
    {'args': [[4, 2, 7, 1, 3, 6, 9]], 'expected': [4, 7, 2, 9, 6, 3, 1]},
    {'args': [[]], 'expected': []},
    {'args': [[1, None, 2, 3]], 'expected': [1, 2, None, None, 3]},
  ],
}
INVERTED = (
  'class Solution:\n  def invertTree(self, root: Optional[TreeNode]) -> Optional[TreeNode]:\n    if root:\n'
  '      root.left, root.right = self.invertTree(root.right), self.invertTree(root.left)\n    return root'
)
REVERSE = {
  'function': 'Solution().reverseList',
  'types': {'args': ['ListNode'], 'returns': 'ListNode'},
  'cases': [
    {'args': [[1, 2, 3]], 'expected': [3, 2, 1]},
    {'args': [[]], 'expected': None},
    {'args': [None], 'expected': []},
  ],
}
REVERSED = (
  'class Solution:\n  def reverseList(self, head):\n    last = None\n    while head:\n'
  '      head.next, last, head = last, head, head.next\n    return last'
)
MERGE = {
  'function': 'mergeKLists',
  'types': {'args': ['List[Optional[ListNode]]'], 'returns': 'ListNode'},
  'cases': [{'args': [[[1, 4], [2], []]], 'expected': [1, 2, 4]}],
}
DEPTH = {
  'function': 'depth',
  'types': {'args': ['TreeNode', ''], 'returns': ''},
  'cases': [{'args': [[3, 9, 20, None, None, 15, 7], 10], 'expected': 13}],
}
OWN = (
  'class TreeNode:\n  __slots__ = ("val", "left", "right")\n  def __init__(self, val=0, left=None, right=None):\n'
  '    self.val, self.left, self.right = val, left, right\n'
)
OWN_LIST = 'class ListNode:\n  def __init__(self, val=0, next=None): self.val, self.next = val, next\n'


@pytest.mark.parametrize(
  'source, tests',
  [
    (INVERTED, INVERT),
    (OWN + INVERTED, INVERT),
    (REVERSED, REVERSE),
    (OWN_LIST + REVERSED, REVERSE),
    (
      'class Solution:\n  def mergeKLists(self, lists):\n    ListNode.__lt__ = lambda a, b: a.val < b.val\n'
      '    heap = [node for node in lists if node]\n    heapify(heap)\n    start = last = ListNode()\n    while heap:\n'
      '      last.next = last = heappop(heap)\n      if last.next: heappush(heap, last.next)\n    return start.next',
      MERGE,
    ),
    (
      'def depth(root, n):\n  f = lambda t: 0 if t is None else 1 + max(f(t.left), f(t.right))\n  return n + f(root)',
      DEPTH,
    ),
  ],
)
@pytest.mark.parametrize('rule', ['', 'livecodebench'])
def test_right_programs(source, tests, rule):
  assert code.verify(source, tests | {'compare': rule}).reason == 'accepted'


@pytest.mark.parametrize(
  'source, tests, reason',
  [
    ('class Solution:\n  def invertTree(self, root): return root', INVERT, 'wrong_answer'),
    ('class Solution:\n  def invertTree(self, root): return [4, 7, 2, 9, 6, 3, 1]', INVERT, 'runtime_error'),
    ('class Solution:\n  def invertTree(self, root): return None', INVERT, 'wrong_answer'),
    ('class Solution:\n  def invertTree(self, root):\n    root.left = root\n    return root', INVERT, 'runtime_error'),
    (
      'class Solution:\n  def reverseList(self, head):\n    head.next = head\n    return head',
      REVERSE,
      'runtime_error',
    ),
    (
      'class E(int):\n  def __eq__(self, o): return True\nclass Solution:\n  def reverseList(self, head):\n'
      '    head.val = E(9)\n    return head',
      REVERSE,
      'wrong_answer',
    ),
    ('class Solution: pass', REVERSE, 'runtime_error'),
  ],
)
def test_wrong_programs(source, tests, reason):
  assert code.verify(source, tests).reason == reason


def test_without_the_field_lists_stay_lists():
  tests = {name: value for name, value in REVERSE.items() if name != 'types'}
  assert (
    code.verify(
      'class Solution:\n  def reverseList(self, head): return (head or [])[::-1]', tests | {'cases': tests['cases'][:2]}
    ).reason
    == 'wrong_answer'
  )  # [] is not None there
  assert (
    code.verify(
      'class Solution:\n  def reverseList(self, head): return head[::-1]', tests | {'cases': tests['cases'][:1]}
    ).reason
    == 'accepted'
  )


@pytest.mark.parametrize(
  'change, message',
  [
    ({'types': 'TreeNode'}, 'types'),
    ({'types': {'arguments': []}}, 'types'),
    ({'types': {'args': ['Node']}}, 'Node'),
    ({'types': {'args': [], 'returns': 'ListNode'}, 'cases': [{'args': [1], 'expected': 5}]}, 'case 1'),
    ({'types': {'args': ['ListNode', 'ListNode']}}, '2 arguments'),
    ({'types': {'args': ['TreeNode']}, 'cases': [{'args': [[1, None, None, 4]], 'expected': 1}]}, 'case 1'),
    (
      {'types': {'args': ['TreeNode']}, 'cases': [{'args': [[1]], 'expected': 1}, {'args': [3], 'expected': 1}]},
      'case 2',
    ),
  ],
)
def test_tests_that_do_not_fit_are_errors(change, message):
  with pytest.raises(ValueError, match=message):
    code.verify(REVERSED, REVERSE | change)


@pytest.mark.parametrize(
  'text, parsed',
  [
    ('TreeNode', ('TreeNode', 0)),
    ('Optional[ListNode]', ('ListNode', 0)),
    ("Optional['TreeNode']", ('TreeNode', 0)),
    ('List[Optional[TreeNode]]', ('TreeNode', 1)),
    ('list[list[ListNode]]', ('ListNode', 2)),
    ('TreeNode | None', ('TreeNode', 0)),
    ('List[int]', ('', 0)),
    ('', ('', 0)),
    (None, ('', 0)),
    ('int', ('', 0)),
  ],
)
def test_types_are_written_as_in_python(text, parsed):
  assert nodes.parse(text) == parsed


@pytest.mark.parametrize(
  'values', [[], [1], [1, 2, 3], [1, None, 2], [5, 4, 7, 3, None, 2, None, -1, None, 9], [0, 0, None, 0]]
)
def test_level_order_is_its_own_inverse(values):
  assert nodes.levels('TreeNode', 0, nodes.make('TreeNode', 0, values)) == values
  chain = [value or 0 for value in values]
  assert nodes.levels('ListNode', 0, nodes.make('ListNode', 0, chain)) == chain
