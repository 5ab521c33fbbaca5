"""math-verify and sympy. Imported in killable worker processes only: sympy's parser executes code found in
text, and one answer can take for ever."""
from __future__ import annotations

import contextlib
import functools
import itertools
import re
import signal
from fractions import Fraction

from sympy import Expr, Float, I, Integral, Product, Sum

from vibethinker_jax.verify import extract, units
from vibethinker_jax.verify.math import MIN_DIGITS, decimal_places

SECONDS = 2  # math-verify's own limit (SIGALRM) for parsing and comparing; the pool kills the worker later


class OutOfTime(BaseException):
  """CPU seconds are used up. Not an Exception: the libraries catch those."""


@contextlib.contextmanager
def cpu_seconds(seconds: float):
  """Raises OutOfTime in the body when it used that much CPU time. Main thread only. What hangs in one C call is not
  interrupted: the pool kills that."""
  def ended(*_):
    raise OutOfTime
  before = signal.signal(signal.SIGPROF, ended)
  signal.setitimer(signal.ITIMER_PROF, seconds)
  try:
    yield
  finally:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@functools.lru_cache(maxsize=1)
def _math_verify():
  import logging
  logging.disable(logging.CRITICAL)  # it logs every time-out and parser error of model text
  import math_verify
  return math_verify


def warm() -> None:
  """Imports what the first answer needs and parses one: 0.8 s."""
  _parse('x^2')


def _parse(text: str):
  """LaTeX between $ $ -> sympy objects. Only the LaTeX parser: the plain one calls sympy's parse_expr
  (eval)."""
  mv = _math_verify()
  return mv.parse(f'${text}$', extraction_config=[mv.LatexExtractionConfig(boxed_match_priority=-1)],
                  fallback_mode='no_fallback', extraction_mode='first_match', parsing_timeout=SECONDS)


def _clean(answer: str) -> str:
  """What math-verify is given: plain spellings as LaTeX, units off."""
  text = units.strip_unit(extract.strip_quantifier(answer.strip().strip('$').rstrip('.,; ')))
  text = re.sub(r'\bsqrt\(([^()]*)\)', r'\\sqrt{\1}', text.replace('**', '^'))
  text = re.sub(r'\\mathrm\s*\{\s*e\s*\}', 'e', text)  # \mathrm{e} made it drop the rest of the expression
  return text.replace('π', '\\pi').replace('∞', '\\infty').replace('\\varnothing', '\\emptyset')


_COLUMN = re.compile(r'\\begin\{[pb]matrix\}([^&]*)\\end\{[pb]matrix\}')


def _tuple(text: str) -> bool:
  """Whether text is one pair of parentheses around a list."""
  text = re.sub(r'\\(?:left|right)(?![a-z])|\s', '', text)
  depths = list(itertools.accumulate((c in '([{') - (c in ')]}') for c in text))
  return text[:1] == '(' and text[-1:] == ')' and ',' in text and 0 not in depths[:-1]


def _list(text: str) -> bool:
  """Whether text is a list without any bracket around a comma."""
  depths = itertools.accumulate((c in '([{') - (c in ')]}') for c in text)
  return any(c == ',' and not depth for c, depth in zip(text, depths)) and not re.search(r'[(\[]', text)


def _same_shape(text: str, other: str) -> str:
  """text in the notation of other where both are usual: 'x=1 or x=-2' as '1,-2', a column vector as a
  tuple."""
  if ',' in other and '=' not in other:
    text = re.sub(r'\\(?:text|mathrm)\s*\{\s*(?:or|and)\s*\}|\b(?:or|and)\b', ',', text)
    if len({m for m in re.findall(r'(?:^|,)\s*([A-Za-z])\s*=', text)}) == 1:
      text = re.sub(r'(^|,)\s*[A-Za-z]\s*=', r'\1', text)
  if _list(text) and _tuple(other):  # '2,3' for the point (2,3): then the order counts
    text = f'({text})'
  match = _COLUMN.fullmatch(text.strip())
  if match and other.startswith('('):
    text = '(' + ','.join(part.strip() for part in match.group(1).split('\\\\')) + ')'
  return text


def _same_constant(parsed_gold: list, parsed: list) -> bool:
  """Whether two exact constants agree to 40 digits, relative: what simplify does not find, as e^{i pi/3}."""
  a, b = (v[0].subs([(s, I) for s in v[0].free_symbols if s.name == 'i']) if isinstance(v[0], Expr) else v[0]
          for v in (parsed_gold, parsed))
  if not (getattr(a, 'is_number', False) and getattr(b, 'is_number', False)) or any(
      v.has(Float, Integral, Sum, Product) or v.is_infinite for v in (a, b)):
    return False
  x, y = a.evalf(60), b.evalf(60)  # 20 guard digits; is_number was asked above
  return bool(abs(x - y) <= abs(x) * Float('1e-40', 60))


def _words(text: str) -> bool:
  """Whether text has words beyond LaTeX commands, 'and', 'or' and single letters: math-verify would drop
  them."""
  bare = re.sub(r'\\(?:text|mathrm|mbox|textbf|operatorname)\b', ' ', text)
  bare = re.sub(r'\\[A-Za-z]+', ' ', bare)
  words = [w.lower() for w in re.findall(r'[A-Za-z]{3,}|\bor\b', bare)]
  known = ('and', 'sin', 'cos', 'tan', 'log', 'exp', 'pmatrix', 'bmatrix', 'matrix', 'sqrt')
  return any(word not in known for word in words)


def _number(parsed, digits: int):
  """The real number a parsed gold stands for as an exact-enough Fraction, None if it is none."""
  for value in parsed:
    if getattr(value, 'is_number', False) and value.is_real:
      return Fraction(str(value.evalf(digits + 10)))
  return None


def equal(answer: str, gold: str) -> bool:
  """Whether math-verify, in strict mode, holds an extracted answer equal to the gold answer.

  Args:
    answer: content of the box, already capped and checked by math.fast_verdict.
    gold: the right answer.
  Returns:
    True if equal. Whatever the libraries raise on odd text counts as not equal, also MemoryError.
  """
  try:
    places = decimal_places(extract.normalise(answer))
    if places is None:
      answer, gold = _same_shape(answer, gold), _same_shape(gold, answer)
    if _words(answer) and not _words(gold):
      return False
    parsed_gold = _parse(_clean(gold))
    if places is not None:  # an approximation equals an exact gold only from MIN_DIGITS correct digits on
      number = _number(parsed_gold, places[0]) if '.' not in gold else None
      text = extract.normalise(answer)
      if places[0] < MIN_DIGITS or number is None:
        return number is not None and number == Fraction(text) and '\\pi' not in gold
      return abs(Fraction(text) - number) * 10**places[1] * 2 <= 1
    parsed = _parse(_clean(answer))
    if not parsed_gold or not parsed:
      return False
    return _same_constant(parsed_gold, parsed) or bool(_math_verify().verify(
      parsed_gold, parsed, strict=True, float_rounding=12, timeout_seconds=SECONDS))
  except Exception:  # pylint: disable=broad-except
    return False  # the answer broke a parser; a fault of our own machinery ends the process instead
