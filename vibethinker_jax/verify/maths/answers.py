r"""Whether an answer is the gold one.

  at_once('\\frac{84}{2}', '42') == Verdict('correct', 'equal')

Three steps, cheapest first: normalised strings and exact rationals (microseconds, decides ~90% of real
outputs); rules that refuse what must never be evaluated; math-verify (symbolic.py), in a process that can be killed.
"""

from __future__ import annotations

import functools
import re

from vibethinker_jax.verify.maths import closed, units, words
from vibethinker_jax.verify.maths.normal import normalise
from vibethinker_jax.verify.maths.numbers import gold_value, interval, rational, same_number, union
from vibethinker_jax.verify.parts import closing_brace
from vibethinker_jax.verify.verdict import DIFFERENT, EQUAL, NO_ANSWER, NO_GOLD, REFUSED, TIMEOUT, Verdict

QUICK, SLOW = 0.1, 4.0  # CPU seconds for an answer: at first, and in the pool's slow lane; 5 ms is usual
MAX_EXPONENT = 10**4  # 10^(10^4) takes sympy milliseconds, 10^(10^6) seconds
MAX_FACTORIAL = 10**3

_NAME = re.compile(
  r'(?:[A-Za-z]|[A-Za-z]{1,2}(?:_\{?\w\}?)?(?::[A-Za-z]{1,2}(?:_\{?\w\}?)?)+|[A-Za-z]\([A-Za-z]\))=(?=[^=]+$)'
)
_ORDINAL = re.compile(r'\d+(?:st|nd|rd|th)', re.IGNORECASE)
_LETTER = re.compile(r'\(?([A-J])\)?')
_TURN = re.compile(r'\^\s*\{?\s*\\circ|°|degrees?|\bdeg\b')
# 'see below' is no answer, and text of the prompt that a response could copy
_NO_GOLD = re.compile(
  r'(?:see|refer)(?:the)?(?:above|below|solution|figure|text|proof|explanation|diagram|graph)s?'
  r'|proof|answers?(?:will|may)?vary|(?:not)?(?:given|provided|available)'
)
_TRIG = re.compile(r'(?:sin|cos|tan|cot|sec|csc)(?![a-z])')
_SCALE = re.compile(r'\\circ\s*\}?\s*(?:\\(?:text|mathrm)\s*\{)?\s*([CF])\b')
_BASE = re.compile(r'(\d+)_\{?(\d{1,2})\}?')


def _unnamed(text: str) -> str:
  """'x=5' and 'f(x)=2x' without the name; 'x=2x' is an equation."""
  name = _NAME.match(text)
  rest = text[name.end() :] if name else text
  return text if name and '(' not in name.group() and name.group()[0] in re.sub(r'\\[A-Za-z]+', '', rest) else rest


def _other_turn(answer: str, gold: str) -> bool:
  r"""36 radians for 36^\circ, or degrees Fahrenheit for Celsius."""
  scales = [match[1] for text in (answer, gold) if (match := _SCALE.search(text))]
  return '\\pi' not in answer and bool(re.search(r'\brad(?:ian)?s?\b', answer)) or len(set(scales)) == 2


def _degrees(answer: str, gold: str, a: str, g: str) -> bool | None:
  r"""Whether an angle in degrees equals one in radians; None unless one is in degrees and the other has
  \pi."""
  if not (_TURN.search(answer) and '\\pi' in g or _TURN.search(gold) and '\\pi' in a):
    return None
  degrees, radians = (a, g) if '\\pi' in g else (g, a)
  turns = rational(
    re.sub(
      r'(?<=[0-9}])\\pi|\\pi', lambda m: '' if m.start() and radians[m.start() - 1] in '0123456789}' else '1', radians
    )
  )
  degrees = rational(degrees)
  return None if turns is None or degrees is None else turns * 180 == degrees


@functools.lru_cache(maxsize=4096)
def judgeable(gold: str) -> bool:
  """Whether a gold answer is one: not blank, not 'see below'. Rows without are left out of training."""
  text = normalise(gold)
  return bool(text) and not _NO_GOLD.fullmatch(re.sub(r'[^a-z]', '', text.lower()) if text[:1].isalpha() else '')


def fast_answer(answer: str, gold: str) -> Verdict | None:
  """Judges an extracted answer by strings and exact rationals; None if that cannot decide. Pure,
  microseconds."""
  a, g = normalise(answer), normalise(gold)
  if not a or not g:
    return DIFFERENT
  if (named := words.same(a, g)) is not None or (named := words.ordinal(answer, gold)) is not None:
    return EQUAL if named else DIFFERENT
  size, its = units.measure(answer), units.measure(gold)
  if size and its and size != its:  # 3 hours, 180 minutes; 5 cm and 5 m
    x, y = rational(a), rational(g)
    same = size[:2] == its[:2] and x is not None and y is not None and x * size[2] == y * its[2]
    return EQUAL if same else DIFFERENT
  if _TURN.search(gold) and _other_turn(answer, gold):
    return DIFFERENT
  if '=' not in answer and '\\pi' in a and '\\pi' in g and bool(_TURN.search(answer)) != bool(_TURN.search(gold)):
    return DIFFERENT  # \frac{\pi}{3}^\circ
  turned = bool(_TRIG.search(g)) and bool(_TURN.search(answer)) != bool(_TURN.search(gold))  # \sin 1 and \sin 1^\circ
  if a == g and not turned:
    return EQUAL
  if (angle := _degrees(answer, gold, a, g)) is not None:
    return EQUAL if angle else DIFFERENT
  if _LETTER.fullmatch(g) and len(a) <= 3:  # a multiple choice
    return EQUAL if a.strip('().:') == g.strip('()') else DIFFERENT
  if (option := words.option(answer, gold)) is not None:
    return EQUAL if option == '' or fast_answer(*option) == EQUAL else DIFFERENT
  if '%' in a[:-1].replace('%', '', a.endswith('%%')):
    return DIFFERENT  # an inner % starts a LaTeX comment: '17 % 18' hedges
  if '=' not in a:
    g = _unnamed(g)
  elif '=' not in g:
    a = _unnamed(a)
  if a == g and not _TRIG.search(g):
    return EQUAL
  if base := _BASE.fullmatch(g):  # MATH writes 2516_8 and takes 2516
    if a == base.group(1):
      return EQUAL
    if a.isdigit():
      return DIFFERENT
  if (other := _BASE.fullmatch(a)) and (base or g.isdigit()):  # both numbers, in a base of 2 to 36
    value = lambda digits, to: int(digits, to) if 2 <= to <= 36 and all(int(d) < to for d in digits) else None
    expected = value(base[1], int(base[2])) if base else int(g)
    return EQUAL if value(other[1], int(other[2])) == expected is not None else DIFFERENT
  if not closed.closed(closed.unlabelled(answer, gold), gold):
    return DIFFERENT  # the problem restated
  if re.search(r',\s', gold) and re.sub(r'\s', '', answer) == re.sub(r'\s', '', gold):
    return EQUAL  # '100,200' where the gold is the list '100, 200'
  x, y = rational(a), gold_value(g)
  if (
    _ORDINAL.fullmatch(a) and y is not None or ((':' in a) != (':' in g) and '\\{' not in a + g)
  ):  # 17th, 3:4 and 3/4, 10:30 and 10.5
    return DIFFERENT
  if not turned and interval(a) == interval(g) or '\\cup' in a + g and union(answer) == union(gold):
    return EQUAL
  if x is not None and y is not None:
    if same_number(a, g, x, y):
      return EQUAL
    return DIFFERENT
  if a.isalpha() and g.isalpha() and len(a) > 1 and ('\\text' in answer or '\\text' in gold) and a.lower() == g.lower():
    return EQUAL  # 'Yes': three letters alone could be a product
  product = len(a) < 4 and sorted(a) == sorted(g)  # ab and ba
  if (y is not None or a.isalpha() and g.isalpha() and not product) and (a.isalpha() or '\\pm' in a):
    return DIFFERENT
  return None


def refused(answer: str) -> bool:
  """Whether an answer must never be evaluated: a power tower, an exponent over 10^4, a factorial over
  10^3."""
  text = normalise(answer).replace('**', '^')
  if re.search(r'\d[eE][-+]?\d{4,}', text):
    return True
  numbers = [int(n[:9]) for n in re.findall(r'\d+', text)]
  if '!' in text:
    if text.count('!') > 1 and re.search(r'!\)*\}*!', text.replace(' ', '')):
      return True
    if re.search(r'[)}]!', text) and ('^' in text or any(n > 99 for n in numbers)):
      return True
    if any(int(n[:9]) > MAX_FACTORIAL for n in re.findall(r'(\d+)!', text)):
      return True
  for match in re.finditer(r'\^', text):
    rest = text[match.end() :]
    if rest[:1] == '{':
      end = closing_brace(rest, 1)
      exponent = rest[1:end] if end > 0 else rest
    elif rest[:1] == '(':
      exponent = rest[1 : rest.find(')')] if ')' in rest else rest
    else:
      exponent = (re.match(r'-?\d+|.', rest) or re.match('', rest)).group()
      if rest[len(exponent) : len(exponent) + 1] == '^' and exponent.strip('-').isdigit():
        return True
    if '^' in exponent and re.search(r'\d', exponent) and len(re.findall(r'\^', exponent)) + 1 >= 2:
      inner = [int(n[:9]) for n in re.findall(r'\^\{?(\d+)', exponent)]
      if '^' in exponent.split('^', 1)[1] or any(n > 4 for n in inner) or exponent[:1].isdigit():
        return True  # e^{-x^2} passes, 9^{9^9} and 2^{x^{100}} don't
    if any(int(n[:9]) > MAX_EXPONENT for n in re.findall(r'\d+', exponent)):
      return True
  return False


def at_once(answer: str | None, gold: str) -> Verdict | None:
  """Judges an answer without any symbolic work.

  Args:
    answer: see extract.answer_of; None is no answer.
    gold: the right answer, LaTeX or plain.
  Returns:
    A Verdict, or None if only the symbolic path can decide. Pure, takes microseconds, evaluates nothing.
  """
  if not judgeable(gold):
    return NO_GOLD
  if answer is None:
    return NO_ANSWER
  verdict = fast_answer(answer, gold)
  if verdict is None and refused(answer):
    return REFUSED
  return verdict


def compared(answer: str, gold: str, seconds: float = SLOW) -> Verdict:
  """Judges symbolically what `at_once` left open: in the main thread of a process that may be killed.

  Args:
    answer, gold: see at_once.
    seconds: of CPU at most, then TIMEOUT.
  Returns:
    Verdict('correct', 'equal') or Verdict('wrong', reason). Source: reliability.md, Maths verification.
  """
  from vibethinker_jax.verify.maths import symbolic  # sympy: 0.5 s of import, only workers pay it

  try:
    with symbolic.cpu_seconds(seconds):
      return EQUAL if symbolic.equal(answer, gold) else DIFFERENT
  except symbolic.OutOfTime:
    return TIMEOUT
