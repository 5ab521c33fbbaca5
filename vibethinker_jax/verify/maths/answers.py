r"""Judges a boxed maths answer against the gold answer.

  verify('<think>6*7</think>\\boxed{\\frac{84}{2}}', '42') == Verdict('correct', 'equal')

Three steps, cheapest first: normalised strings and exact rationals (microseconds, decides ~90% of real
outputs); rules that refuse what must never be evaluated; math-verify in a worker process that can be killed
(symbolic.py).
"""
from __future__ import annotations

from fractions import Fraction
import functools
import os
import re
import threading

from vibethinker_jax.verify.maths import closed, extract, units, words
from vibethinker_jax.verify.verdict import Verdict

EQUAL = Verdict('correct', 'equal')
DIFFERENT = Verdict('wrong', 'different')
NO_ANSWER = Verdict('wrong', 'no_answer')
REFUSED = Verdict('wrong', 'refused')
TIMEOUT = Verdict('wrong', 'timeout')
NO_GOLD = Verdict('invalid', 'no_gold')

QUICK, SLOW = 0.1, 4.0  # CPU seconds for an answer: at first, and in the pool's slow lane; 5 ms is usual
MAX_EXPONENT = 10**4  # 10^(10^4) takes sympy milliseconds, 10^(10^6) seconds
MAX_FACTORIAL = 10**3
MIN_DIGITS = 10  # a decimal equals a repeating or irrational gold from this many correct digits on
# the number of a pool's worker in its environment: there the slow path runs in place
IN_WORKER = 'VIBETHINKER_VERIFY_WORKER'

_DECIMAL = re.compile(r'([-+]?)(\d+\.?\d*|\.\d+)')
_SLASH = re.compile(r'([-+]?)(?:(\d+)@)?(\d+)/(\d+)')
_FRAC = re.compile(r'([-+]?)(\d*)\\frac\{(-?\d+)\}\{(-?\d+)\}')
_SCIENTIFIC = re.compile(r'([-+]?\d+\.?\d*)(?:\\times|\*)10\^\{?(-?\d{1,3})\}?')
_REPEATING = re.compile(r'([-+]?)(\d*)\.(\d*)\\overline\{(\d+)\}')
_NAME = re.compile(r'(?:[A-Za-z]|[A-Za-z]{1,2}(?:_\{?\w\}?)?(?::[A-Za-z]{1,2}(?:_\{?\w\}?)?)+|[A-Za-z]\([A-Za-z]\))=(?=[^=]+$)')
_MEMBER = re.compile(r'[A-Za-z]\\in@?(?=[(\[])')
_RELATION = re.compile(r'(\\(?:[lg]eq?(?:slant)?|[lg]t)(?![A-Za-z])|<=|>=|≤|≥|<|>)@?')
_ORDINAL = re.compile(r'\d+(?:st|nd|rd|th)', re.IGNORECASE)
_LETTER = re.compile(r'\(?([A-J])\)?')
_MODULAR = re.compile(r'(\d{1,9})\^\{?(\d{1,9})\}?\\[bp]?mod\{?(\d{1,9})\}?')
_TURN = re.compile(r'\^\s*\{?\s*\\circ|°|degrees?|\bdeg\b')
# 'see below' is no answer, and text of the prompt that a response could copy
_NO_GOLD = re.compile(r'(?:see|refer)(?:the)?(?:above|below|solution|figure|text|proof|explanation|diagram|graph)s?'
                      r'|proof|answers?(?:will|may)?vary|(?:not)?(?:given|provided|available)')
_TRIG = re.compile(r'(?:sin|cos|tan|cot|sec|csc)(?![a-z])')
_SCALE = re.compile(r'\\circ\s*\}?\s*(?:\\(?:text|mathrm)\s*\{)?\s*([CF])\b')
_BASE = re.compile(r'(\d+)_\{?(\d{1,2})\}?')


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
    nines = (10**len(tail) - 1) * 10**len(head)
    value = Fraction(int(whole + head + tail or 0) - int(whole + head or 0), nines)
    return -value if sign == '-' else value
  return None


def decimal_places(text: str) -> tuple[int, int] | None:
  """(significant digits, digits after the point) of a plain decimal with a point, else None."""
  match = _DECIMAL.fullmatch(text)
  if not match or '.' not in text:
    return None
  return len(match.group(2).replace('.', '').lstrip('0')), len(text.split('.')[1])


def _same_number(answer: str, gold: str, a: Fraction, g: Fraction) -> bool:
  if a == g and not (answer.endswith('%') and not gold.endswith('%') and 0 < abs(g) < 1):  # 0.28% is not 0.28
    return True
  if answer.endswith('%') != gold.endswith('%'):  # 50% is 0.5; a dropped % sign (50) counts too, a == g above
    return (a / 100 if answer.endswith('%') else a) == (g / 100 if gold.endswith('%') else g)
  places = decimal_places(answer)
  if places is None or places[0] < MIN_DIGITS or _DECIMAL.fullmatch(gold):
    return False
  return abs(a - g) * 2 * 10**places[1] <= 1  # a correct rounding of a fraction that no decimal equals


def gold_value(text: str) -> Fraction | None:
  r"""Exact value of a normalised gold: that of rational, or of a power modulo a number. An answer has to do that
  work."""
  if match := _MODULAR.fullmatch(text):
    base, exponent, modulus = map(int, match.groups())
    return Fraction(pow(base, exponent, modulus)) if modulus else None
  return rational(text)


def _unnamed(text: str) -> str:
  """'x=5' and 'f(x)=2x' without the name; 'x=2x' is an equation."""
  name = _NAME.match(text)
  rest = text[name.end():] if name else text
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
  turns = rational(re.sub(r'(?<=[0-9}])\\pi|\\pi', lambda m: '' if m.start() and radians[m.start() - 1] in
                          '0123456789}' else '1', radians))
  degrees = rational(degrees)
  return None if turns is None or degrees is None else turns * 180 == degrees


@functools.lru_cache(maxsize=4096)
def judgeable(gold: str) -> bool:
  """Whether a gold answer is one: not blank, not 'see below'. Rows without are left out of training."""
  text = extract.normalise(gold)
  return bool(text) and not _NO_GOLD.fullmatch(re.sub(r'[^a-z]', '', text.lower()) if text[:1].isalpha() else '')


def interval(text: str) -> str:
  r"""'0<x\le1' -> '(0,1]', 'x\leq5' -> '(-\infty,5]', 'x\in(0,1)' -> '(0,1)'; other normalised text as it
  is."""
  if match := _MEMBER.match(text):
    return text[match.end():]
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
  return sorted(interval(extract.normalise(part)) for part in parts)


def fast_answer(answer: str, gold: str) -> Verdict | None:
  """Judges an extracted answer by strings and exact rationals; None if that cannot decide. Pure,
  microseconds."""
  a, g = extract.normalise(answer), extract.normalise(gold)
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
  if _ORDINAL.fullmatch(a) and y is not None or (
      (':' in a) != (':' in g) and '\\{' not in a + g):  # 17th, 3:4 and 3/4, 10:30 and 10.5
    return DIFFERENT
  if not turned and interval(a) == interval(g) or '\\cup' in a + g and union(answer) == union(gold):
    return EQUAL
  if x is not None and y is not None:
    if _same_number(a, g, x, y):
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
  text = extract.normalise(answer).replace('**', '^')
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
    rest = text[match.end():]
    if rest[:1] == '{':
      end = extract.closing_brace(rest, 1)
      exponent = rest[1:end] if end > 0 else rest
    elif rest[:1] == '(':
      exponent = rest[1:rest.find(')')] if ')' in rest else rest
    else:
      exponent = (re.match(r'-?\d+|.', rest) or re.match('', rest)).group()
      if rest[len(exponent):len(exponent) + 1] == '^' and exponent.strip('-').isdigit():
        return True
    if '^' in exponent and re.search(r'\d', exponent) and len(re.findall(r'\^', exponent)) + 1 >= 2:
      inner = [int(n[:9]) for n in re.findall(r'\^\{?(\d+)', exponent)]
      if '^' in exponent.split('^', 1)[1] or any(n > 4 for n in inner) or exponent[:1].isdigit():
        return True  # e^{-x^2} passes, 9^{9^9} and 2^{x^{100}} don't
    if any(int(n[:9]) > MAX_EXPONENT for n in re.findall(r'\d+', exponent)):
      return True
  return False


def fast_verdict(response: str, gold: str) -> Verdict | None:
  """Judges a response without any symbolic work.

  Args:
    response: the model's whole text.
    gold: the right answer, LaTeX or plain.
  Returns:
    A Verdict, or None if only the symbolic path can decide. Pure, takes microseconds, evaluates nothing.
  """
  answer = extract.answer_text(response)
  if not judgeable(gold):
    return NO_GOLD
  if answer is None:
    return NO_ANSWER
  verdict = fast_answer(answer, gold)
  if verdict is None and refused(answer):
    return REFUSED
  return verdict


def verify(response: str, gold: str, quick: bool = False) -> Verdict:
  """Judges a response to a maths problem.

  Args:
    response: the model's whole text.
    gold: the right answer, LaTeX or plain.
    quick: in a pool's worker: QUICK seconds at most, then ('wrong', 'timeout').
  Returns:
    Verdict('correct', 'equal') or Verdict('wrong', reason); reason 'timeout' when math-verify had to be
    killed; Verdict('invalid', 'no_gold') for a gold that is no answer, and 'fault' when its worker died
    twice. Source: reliability.md, Maths verification.
  """
  verdict = fast_verdict(response, gold)
  if verdict is not None:
    return verdict
  answer = extract.answer_text(response)
  if os.environ.get(IN_WORKER):
    from vibethinker_jax.verify.maths import symbolic  # sympy: 0.5 s of import, only workers pay it
    try:
      with symbolic.cpu_seconds(QUICK if quick else SLOW):
        return EQUAL if symbolic.equal(answer, gold) else DIFFERENT
    except symbolic.OutOfTime:
      return TIMEOUT
  return _own_pool().verify([(f'\\boxed{{{answer}}}', {'answer': gold})])[0]


_pool = None
_pool_lock = threading.Lock()


def _own_pool():
  """The one killable worker of this process for direct calls of verify, started by the first that needs
  it."""
  global _pool
  with _pool_lock:
    if _pool is None:
      import atexit

      from vibethinker_jax.verify.pool import Pool  # here, since the pool imports this file for its fast path
      _pool = Pool(workers=1, timeout=5.0)
      atexit.register(_pool.close)
    return _pool


if __name__ == '__main__':
  import sys

  from vibethinker_jax.verify.maths import corpus as math_corpus
  sys.exit(math_corpus.main())
