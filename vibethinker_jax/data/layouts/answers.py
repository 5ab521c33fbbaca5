r"""The answer of a row as text: what is none, where it stands in a solution, and rows that contradict each other.

text(7) == '7', text('... #### 1,234') == '1234', text('So it is $\\boxed{\\frac{1}{2}}$.') == '\\frac{1}{2}'
text(True), text(float('nan')), text('') raise ValueError
"""

import array
import hashlib
import json
import math
import re
import string
from typing import Any

import numpy as np

from vibethinker_jax.data.layouts import unittest_layouts
from vibethinker_jax.data.layouts.layout_fields import decoded

_BOX = re.compile(r'\\(?:boxed|fbox)(?![a-zA-Z])')
_TOKEN = re.compile(r'[ \t]*((?:\\[a-zA-Z]+|[^\s$\\])+)')  # \boxed 7, \boxed\frac{1}{2}
_BRACE = re.compile(r'\\.|[{}]', re.DOTALL)
_BETWEEN = re.compile(r'(?:[\s$.,;]|and|or|\\\(|\\\)|\\text\{[^{}]*\})*')
_BEGUN = re.compile(r'\s*\[?\s*\{\s*(["\'])\w+\1\s*:')  # an object, though it be cut off
_NUMBER = re.compile(r'\$?[-+]?\d[\d,]*(?:\.\d+)?(?:/\d+)?\$?')
_YES, _NO = ('yes', 'true', 'correct', 'right'), ('no', 'false', 'incorrect', 'wrong')


def text(value: Any) -> str:
  """An answer as text: what follows '####' without its commas (GSM8K), the last box of a text that is a solution.

  Raises:
    ValueError: it is no answer, with the reason.
  """
  if isinstance(value, list) and len(value) == 1:
    value = value[0]
  if isinstance(value, bool):
    raise ValueError(
      f'it is {json.dumps(value)}, which no response can be compared with, unless the row has "choices" that '
      'say yes and no'
    )
  if value is None:
    raise ValueError('nothing is there')
  if not isinstance(value, (str, int, float)):
    raise ValueError(f'it is {type(value).__name__} {repr(value)[:40]}')
  if isinstance(value, float) and not math.isfinite(value) or isinstance(value, str) and value.strip().lower() == 'nan':
    raise ValueError(f'it is {value}, which is no value')
  if isinstance(value, str) and _is_data(value):
    raise ValueError(f'it is no answer but data, such as the tests of a program: {value[:40]!r}')
  found = _told(str(value))
  if not found.strip():
    raise ValueError('it is empty')
  return found


def _is_data(value: str) -> bool:
  """Whether text is an object of JSON, a list with one in it, or test code; a set {1, 2} and a list [1, 2] are
  answers."""
  held = decoded(value)
  rows = isinstance(held, list) and any(isinstance(one, dict) for one in held)
  return (
    rows
    or isinstance(held, dict)
    or bool(_BEGUN.match(value))
    or ('assert' in value and unittest_layouts.is_code(value))
  )


def _told(value: str) -> str:
  _, marker, after = value.rpartition('####')
  if marker:
    return after.strip().replace(',', '')
  if not _BOX.search(value):
    return value
  found, rest = boxes(value)
  if len(found) > 1 and _BETWEEN.fullmatch(rest):  # several parts, each in a box
    return value
  return of_solution(value)


def of_solution(solution: str) -> str:
  r"""The content of a solution's last box: \boxed{...}, \fbox{...} or \boxed 7; or what follows '####'.

  Raises:
    ValueError: there is no box, or the last one is empty or not closed, with the reason.
  """
  if '\n####' in solution or solution.startswith('####'):
    return text(solution)
  found, _ = boxes(solution)
  if not found and _NUMBER.fullmatch(solution.strip()):  # s1K: of some rows the number alone
    return solution.strip().strip('$')
  if not found:
    raise ValueError('no \\boxed{...} is in the solution to take the answer from')
  if found[-1] is None:
    raise ValueError('the last \\boxed{...} of the solution is not closed')
  if not found[-1].strip():
    raise ValueError('the last \\boxed{...} of the solution is empty')
  return found[-1]


def boxes(solution: str) -> tuple[list[str | None], str]:
  """(contents of the outer boxes in order, None for one that is not closed; the text around them)."""
  found, rest, at = [], [], 0
  while match := _BOX.search(solution, at):
    rest.append(solution[at : match.start()])
    begin = match.end() + len(solution[match.end() :]) - len(solution[match.end() :].lstrip())
    if solution[begin : begin + 1] == '{':
      at = _close(solution, begin + 1)
      found.append(_inner(solution[begin + 1 : at - 1]) if at else None)
      at = at or len(solution)
    else:
      token = _TOKEN.match(solution, match.end())
      at = token.end() if token else match.end()
      found.append(token[1].rstrip('.,;') if token else '')
  return found, ''.join(rest) + solution[at:]


def _inner(content: str) -> str:
  """The content of a box in a box is that of the inner one."""
  match = _BOX.match(content.strip())
  found = boxes(content)[0] if match else []
  return found[0] if len(found) == 1 and found[0] and content.strip().endswith('}') else content.strip()


def _close(solution: str, at: int) -> int:
  """The index after the brace that closes the group which begins at `at`; 0 if there is none."""
  depth = 1
  for match in _BRACE.finditer(solution, at):
    depth += {'{': 1, '}': -1}.get(match[0], 0)
    if not depth:
      return match.end()
  return 0


def letter(value: Any, choices: list) -> str:
  """The letter of the right one of `choices`, of its letter, its index from 0, its text, or true or false where the
  choices say so.

  Raises:
    ValueError: it is none of them, with the reason.
  """
  letters, options = string.ascii_uppercase[: len(choices)], [str(choice).strip() for choice in choices]
  if isinstance(value, list) and len(value) == 1:
    value = value[0]
  if isinstance(value, bool):
    words = [option.lower() for option in options]
    yes, no = ([i for i, word in enumerate(words) if word in meaning] for meaning in (_YES, _NO))
    if len(yes) != 1 or len(no) != 1:
      raise ValueError(f'it is {json.dumps(value)}, and the choices do not say yes and no: {", ".join(options)[:80]}')
    return letters[(yes if value else no)[0]]
  if isinstance(value, float) and value.is_integer():
    value = int(value)
  if isinstance(value, int):
    if not 0 <= value < len(letters):
      raise ValueError(f'it is {value}, which is no index of {len(choices)} choices (they are counted from 0)')
    return letters[value]
  given = text(value).strip()
  plain = given.strip('().').upper()
  if len(plain) == 1 and plain in letters:
    return plain
  if options.count(given) != 1:
    raise ValueError(f'it is {given[:40]!r}, which is neither a letter from {letters!r} nor the text of one choice')
  return letters[options.index(given)]


class Contradictions:
  """Finds rows that ask the same and have different answers. Of a million rows it holds 16 MB."""

  def __init__(self):
    self._keys, self._rows, self._count = array.array('Q'), array.array('Q'), 0

  def add(self, prompt: str | list[dict], choices: list | None) -> None:
    """The next row: what it asks, text or chat messages, and the options if it has some."""
    turns = [prompt] if isinstance(prompt, str) else [turn['content'] for turn in prompt]
    asked = '\n'.join([' '.join(turn.split()) for turn in turns] + ([json.dumps(choices)] if choices else []))
    self._keys.append(int.from_bytes(hashlib.blake2b(asked.encode(), digest_size=8).digest(), 'little'))
    self._rows.append(self._count)
    self._count += 1

  def skip(self) -> None:
    """The next row, whose answer cannot contradict another's."""
    self._count += 1

  def pairs(self, answer_of) -> list[tuple[int, int]]:
    """(row, later row) with different answers; each row is compared with the first that asks the same.

    Args:
      answer_of: row -> its answer.
    """
    keys = np.frombuffer(self._keys, np.uint64) if self._keys else np.zeros(0, np.uint64)
    order = np.argsort(keys, kind='stable')
    same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]]) + 1
    found, first, last = [], 0, -2
    for at in same.tolist():
      first = first if at == last + 1 else at - 1
      last = at
      pair = self._rows[order[first]], self._rows[order[at]]
      if spelling(answer_of(pair[0])) != spelling(answer_of(pair[1])):
        found.append(pair)
    return sorted(found, key=lambda pair: pair[::-1])


def spelling(answer: str) -> str:
  r"""One spelling for answers that only look different: white space, $, \dfrac, \left, 2.0 and 2, 1,000 and 1000."""
  found = re.sub(r'\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[!,;: ]|\s|\$|\.$', '', answer)
  found = re.sub(r'\\[dt]frac', r'\\frac', found.replace('{,}', ','))
  if re.fullmatch(r'[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?', found):
    found = found.replace(',', '')
  if re.fullmatch(r'[-+]?\d+\.\d*', found):
    found = found.rstrip('0').rstrip('.')
  return re.sub(r'^(-?)\+?0+(?=\d)', r'\1', found)
