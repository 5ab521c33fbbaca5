"""Whether what a program gave is what was expected. What is compared may be hostile: it is data, and never evaluated.

same_text('0.333333\n', b'0.3333333333\n') and not same_text('7\n', b'7.0\n')
same_words('7\n', b'7.0\n') and not same_words('0.333333\n', b'0.3333333333\n')   # LiveCodeBench's rule
"""

from __future__ import annotations

import decimal
import math
import re

TOLERANCE = 1e-6  # of numbers with a point, relative or absolute: what contest judges usually allow
LIVECODEBENCH = 'livecodebench'
RULES = ('', LIVECODEBENCH)  # of the field 'compare' of a problem's tests


def check_rule(tests: dict) -> tuple[str, float]:
  """(rule, tolerance) of a problem's tests. Raises ValueError for an unknown rule or an impossible tolerance."""
  rule, tolerance = tests.get('compare') or '', tests.get('tolerance', TOLERANCE)
  if rule not in RULES:
    raise ValueError(f'tests have "compare": {rule!r}; there is {LIVECODEBENCH!r}, or leave it out')
  if rule and 'tolerance' in tests:
    raise ValueError(f'tests have a "tolerance" and "compare": {rule!r}, which has none: leave one of them out')
  if type(tolerance) not in (int, float) or not 0 <= tolerance < 1:
    raise ValueError(f'tests have "tolerance": {tolerance!r}; a number from 0 (exact) to below 1 is needed')
  return rule, float(tolerance)


def close(expected: float, got: float, tolerance: float) -> bool:
  """Equality of numbers, relative or absolute; infinity is close to itself alone, NaN to nothing."""
  try:
    return (
      expected == got
      or math.isfinite(expected)
      and math.isfinite(got)
      and math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)
    )
  except OverflowError:  # an int beyond the floats
    return False


def _is_number(value) -> bool:
  return isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool)  # Decimal: a very long int


def same_value(expected, got, tolerance: float = TOLERANCE) -> bool:
  """Equality of JSON values: an expected float to the tolerance, an expected integer exactly (5.0 is 5); True is no
  number."""
  if isinstance(expected, float):
    return _is_number(got) and close(expected, got, tolerance)
  if _is_number(expected):
    return _is_number(got) and expected == got
  if type(expected) is not type(got):
    return False
  if isinstance(expected, list):
    return len(expected) == len(got) and all(same_value(e, g, tolerance) for e, g in zip(expected, got))
  if isinstance(expected, dict):
    return expected.keys() == got.keys() and all(same_value(v, got[k], tolerance) for k, v in expected.items())
  return expected == got


_NUMBER = re.compile(rb'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?')  # of ASCII digits: no inf, 0x10, 1_000


def same_text(expected: str, got: bytes, tolerance: float = TOLERANCE) -> bool:
  """Equality of outputs, line by line, white space at line ends and blank lines at the end aside.

  A line with numbers that have a point or an exponent is still right if its words are the expected ones, where these
  numbers may differ by the tolerance, absolute or relative. All other words, integers among them, are equal as bytes:
  `7.0` is not `7`.
  """
  wants, gots = (
    [line.rstrip() for line in data.rstrip().split(b'\n')] for data in (expected.encode('utf-8', 'surrogatepass'), got)
  )
  return len(wants) == len(gots) and all(
    w == g or tolerance > 0 and _same_line(w, g, tolerance) for w, g in zip(wants, gots)
  )


def _same_line(want: bytes, got: bytes, tolerance: float) -> bool:
  words, others = want.split(), got.split()
  return (
    len(words) == len(others)
    and any(map(_has_point, words))
    and all(w == o or _has_point(w) and _same_number(w, o, tolerance) for w, o in zip(words, others))
  )


def _has_point(word: bytes) -> bool:
  return not word.lstrip(b'+-').isdigit() and bool(_NUMBER.fullmatch(word))


def _same_number(word: bytes, other: bytes, tolerance: float) -> bool:
  expected = float(word)
  return math.isfinite(expected) and bool(_NUMBER.fullmatch(other)) and close(expected, float(other), tolerance)


def same_words(expected: str, got: bytes) -> bool:
  """LiveCodeBench's rule for outputs: as many lines, white space around them aside, each the same text or the same
  numbers as exact decimals, word by word: `7.0` is `7`, 0.3 is not 0.30000000000000004.

  Source: lcb_runner/evaluation/testing_util.py, grade_stdio.
  """
  try:
    texts = expected, got.decode('utf-8')
  except UnicodeDecodeError:
    return False
  wants, gots = ([line.strip() for line in text.strip().split('\n')] for text in texts)
  return len(wants) == len(gots) and all(w == g or _same_decimals(w, g) for w, g in zip(wants, gots))


def _same_decimals(want: str, got: str) -> bool:
  try:
    return [decimal.Decimal(word) for word in got.split()] == [decimal.Decimal(word) for word in want.split()]
  except (ArithmeticError, ValueError):  # not a number; or a signalling NaN, which cannot be compared
    return False


def same_result(expected, got) -> bool:
  """LiveCodeBench's rule for what a function returned, decoded from values.py's form: Python's equality with the JSON
  value, where a tuple is a list at the top alone. So True is 1, and 0.3 is not 0.30000000000000004.

  Source: lcb_runner/evaluation/testing_util.py, grade_call_based.
  """
  return (list(got) if type(got) is tuple else got) == expected
