r"""Exact values of normalised answers: rationals and the bounds of intervals. No symbolic work.

rational('\\frac{84}{2}') == 42
interval('0<x\\le1') == '(0,1]'
"""

from __future__ import annotations

from fractions import Fraction
import re

from vibethinker_jax.verify.maths.normal import normalise

MIN_DIGITS = 10  # a decimal equals a repeating or irrational gold from this many correct digits on

_DECIMAL = re.compile(r'([-+]?)(\d+\.?\d*|\.\d+)')
_SLASH = re.compile(r'([-+]?)(?:(\d+)@)?(\d+)/(\d+)')
_FRAC = re.compile(r'([-+]?)(\d*)\\frac\{(-?\d+)\}\{(-?\d+)\}')
_SCIENTIFIC = re.compile(r'([-+]?\d+\.?\d*)(?:\\times|\*)10\^\{?(-?\d{1,3})\}?')
_REPEATING = re.compile(r'([-+]?)(\d*)\.(\d*)\\overline\{(\d+)\}')
_MODULAR = re.compile(r'(\d{1,9})\^\{?(\d{1,9})\}?\\[bp]?mod\{?(\d{1,9})\}?')
_MEMBER = re.compile(r'[A-Za-z]\\in@?(?=[(\[])')
_RELATION = re.compile(r'(\\(?:[lg]eq?(?:slant)?|[lg]t)(?![A-Za-z])|<=|>=|≤|≥|<|>)@?')


def rational(text: str) -> Fraction | None:
  r"""Exact value of a normalised number: integer, exact decimal, a/b, \frac, mixed number, a*10^b,
  0.\overline{3}.

  Returns None for anything else, also for a zero denominator or over 1000 digits.
  """
  text = text.rstrip('%')
  if len(text) > 1000 or not text.isascii():
    return None
  if match := _DECIMAL.fullmatch(text):
    return Fraction(text)
  if match := _SLASH.fullmatch(text):
    sign, whole, top, bottom = match.groups()
    value = int(whole or 0) + Fraction(int(top), int(bottom)) if int(bottom) else None
    return -value if value is not None and sign == '-' else value
  if match := _FRAC.fullmatch(text):
    sign, whole, top, bottom = match.groups()
    if not int(bottom) or (whole and ('-' in top + bottom)):
      return None
    return (-1 if sign == '-' else 1) * (int(whole or 0) + Fraction(int(top), int(bottom)))
  if match := _SCIENTIFIC.fullmatch(text):
    return Fraction(match.group(1)) * Fraction(10) ** int(match.group(2))
  if match := _REPEATING.fullmatch(text):
    sign, whole, head, tail = match.groups()
    nines = (10 ** len(tail) - 1) * 10 ** len(head)
    value = Fraction(int(whole + head + tail or 0) - int(whole + head or 0), nines)
    return -value if sign == '-' else value
  return None


def decimal_places(text: str) -> tuple[int, int] | None:
  """(significant digits, digits after the point) of a plain decimal with a point, else None."""
  match = _DECIMAL.fullmatch(text)
  if not match or '.' not in text:
    return None
  return len(match.group(2).replace('.', '').lstrip('0')), len(text.split('.')[1])


def same_number(answer: str, gold: str, a: Fraction, g: Fraction) -> bool:
  """Whether normalised texts with these values are one number: percent signs and roundings are considered."""
  if a == g and not (answer.endswith('%') and not gold.endswith('%') and 0 < abs(g) < 1):  # 0.28% is not 0.28
    return True
  if answer.endswith('%') != gold.endswith('%'):  # 50% is 0.5; a dropped % sign (50) counts too, a == g above
    return (a / 100 if answer.endswith('%') else a) == (g / 100 if gold.endswith('%') else g)
  places = decimal_places(answer)
  if places is None or places[0] < MIN_DIGITS or _DECIMAL.fullmatch(gold):
    return False
  return abs(a - g) * 2 * 10 ** places[1] <= 1  # a correct rounding of a fraction that no decimal equals


def gold_value(text: str) -> Fraction | None:
  r"""Exact value of a normalised gold: that of rational, or of a power modulo a number. An answer has to do that
  work."""
  if match := _MODULAR.fullmatch(text):
    base, exponent, modulus = map(int, match.groups())
    return Fraction(pow(base, exponent, modulus)) if modulus else None
  return rational(text)


def interval(text: str) -> str:
  r"""'0<x\le1' -> '(0,1]', 'x\leq5' -> '(-\infty,5]', 'x\in(0,1)' -> '(0,1)'; other normalised text as it
  is."""
  if match := _MEMBER.match(text):
    return text[match.end() :]
  parts = _RELATION.split(text)
  if len(parts) == 3 and len(parts[0]) == 1 and parts[0].isalpha() or len(parts) == 5 and len(parts[2]) == 1:
    low, high = ('(-\\infty', '\\infty)')
    for i in (1, 3) if len(parts) == 5 else (1,):
      left, sign, right = parts[i - 1], parts[i], parts[i + 1]
      closed, less = sign not in ('<', '>', '\\lt', '\\gt'), sign.startswith(('<', '≤', '\\l'))
      bound, below = (left, less) if right.isalpha() and len(right) == 1 else (right, not less)
      if below:
        low = ('[' if closed else '(') + bound
      else:
        high = bound + (']' if closed else ')')
    return f'{low},{high}'
  return text


def union(text: str) -> list[str]:
  r"""'x<3 \text{ or } x>5' -> ['(-\infty,3)', '(5,\infty)'], as '(5,\infty)\cup(-\infty,3)'."""
  parts = re.split(r'\\text\s*\{\s*or\s*\}|\bor\b|\\l?or\b|\\vee\b|\\cup\b', text)
  return sorted(interval(normalise(part)) for part in parts)
