"""The parser of math-verify, and what is compared with what. Imported in killable worker processes only: the grammar
and sympy can take for ever."""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import signal
import zlib

from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, _Latex2Sympy, normalize_latex
import sympy

from vibethinker_jax.verify.maths import closed, compare, exact, plain, units
from vibethinker_jax.verify.maths.normal import normalise, strip_quantifier, unphrased
from vibethinker_jax.verify.maths.numbers import MIN_DIGITS, interval

_NORMAL = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed='none')
_CASE = ConversionConfig(lowercase_symbols=False)


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


def warm() -> None:
  """Shows the parser the shapes that answers have, so that it knows the way later: 0.5 s, then 15 ms an answer."""
  for text in (
    '\\frac{\\sqrt{3}}{2}',
    '2x^2+3y-1',
    '(1,-\\frac{\\pi}{4})',
    '[0,2)\\cup(3,\\infty)',
    'y=2x+1',
    '1,-2,3',
  ):
    equal(text, text + '+1')


class _Parser(_Latex2Sympy):
  """math-verify's, with exact decimals; decimals: value -> digits after the point."""

  def __init__(self):
    super().__init__(None, is_real=True, convert_degrees=False, config=_CASE)
    self.decimals = {}

  def parse_number(self, text):
    text = text.replace(',', '')
    value = sympy.Rational(text)
    if '.' in text:
      self.decimals[value] = len(text.split('.')[1])
    return value

  def convert_postfix_list(self, arr, i=0):
    # 2\frac12 is a mixed number; 2(1/2) and 2\binom52 are products, which the library takes for one, too
    if i + 1 < len(arr) and arr[i].getText().isdigit() and not arr[i + 1].getText().startswith('\\frac'):
      value, rest = self.convert_postfix(arr[i]), self.convert_postfix_list(arr, i + 1)
      return self.mat_mul_flat(value, rest) if getattr(rest, 'is_Matrix', False) else self.mul_flat(value, rest)
    return super().convert_postfix_list(arr, i)


@functools.lru_cache(maxsize=64)
def _parse(text: str):
  """(sympy object, decimals in it) of LaTeX. Raises whatever the grammar does."""
  parser = _Parser()
  text = normalize_latex(text, _NORMAL)
  return parser.parse(text), parser.decimals


_COLUMN = re.compile(r'\\begin\{[pb]matrix\}([^&]*)\\end\{[pb]matrix\}')
_OR = re.compile(
  r'(?:\\(?:q?quad|[,;: ])|[,;~]|\s)*(?:\\text\s*\{\s*(?:,\s*)?(?:or|and)\s*\}'
  r'|(?<![\\A-Za-z])(?:or|and)(?![A-Za-z])|[和或与]|\\(?:lor|land|vee|wedge)(?![a-z]))'
  r'(?:\\(?:q?quad|[,;: ])|[,~]|\s)*'
)
_SAME_NAME = re.compile(r'(?:^|,)\s*([A-Za-z])(?:_\{?\d+\}?)?\s*=')


def _clean(text: str) -> str:
  """What the parser is given: plain spellings as LaTeX, units off, degrees as numbers."""
  text = plain.fonts(plain.ascii_text(text)).strip().strip('$').rstrip('.,; ')
  text = unphrased(text)
  text = units.strip_unit(strip_quantifier(text))
  text = plain.latex(text.replace('\\$', '').replace('$', ''))
  text = re.sub(r'\\left\s*\\langle|\\langle', '(', text).replace('\\right\\rangle', ')').replace('\\rangle', ')')
  text = re.sub(r'\\(max|min|gcd|lcm)\s*(?:\\left\s*)?\\\{(.*?)(?:\\right\s*)?\\\}', r'\\\1(\2)', text)
  text = _DIVISORS.sub(_opaque_divisor, text)
  if match := re.fullmatch(r'([\[\]])([^\[\]()]*,[^\[\]()]*)([\[\]])', text):
    text = match[1].replace(']', '(') + match[2] + match[3].replace('[', ')')  # ]0,1[
  text = re.sub(r'\\frac\s*(\\pi|\w)\s*(\\pi|\w)(?![A-Za-z])', r'\\frac{\1}{\2}', text)
  if match := _BUILDER.fullmatch(text):
    text = match[1]
  text = _plus_minus(text)
  text = re.sub(r'\\text\s*\{\s*((?:[^{}A-Za-z\\]|\b(?:and|or)\b)*)\s*\}', r' \1 ', text)  # \text{-5}, \text{, }
  return re.sub(r'\\binom\s*(\d)\s*(\d)', r'\\binom{\1}{\2}', re.sub(r'\\[dt]binom', r'\\binom', text))


_BUILDER = re.compile(
  r'\s*(?:\\left\s*)?\\\{\s*[a-z]\s*(?:\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\\(?:mid|vert)|:|\|)\s*(.*?)'
  r'\s*(?:\\right\s*)?\\\}\s*'
)
_DIVISORS = re.compile(
  r'\\(?:operatorname\s*\{\s*|text\s*\{\s*|mathrm\s*\{\s*)?'
  r'(gcd|lcm)\s*\}?\s*\(([^()]*[A-Za-z][^()]*)\)'
)
_SIGN = re.compile(r'\\pm(?![A-Za-z])\s*')


def _opaque_divisor(match) -> str:
  """gcd(m,n) of variables as a name of its own: the parser takes it for a gcd of polynomials, which is 1."""
  arguments = ','.join(sorted(normalise(part) for part in match[2].split(',')))
  digits = str(zlib.crc32(arguments.encode()))
  return f'\\text{{{match[1]}{digits.translate(str.maketrans("0123456789", "ghijklmnop"))}}}'


def _plus_minus(text: str) -> str:
  r"""'\frac{5\pm\sqrt3}{2}' as a list of both; a sign that stands in no braces is the parser's."""
  signs = len(_SIGN.findall(text))
  if ',' in text or not signs or signs > 2 or signs == 1 and not re.search(r'\{[^{}]*\\pm', text):
    return text
  values = [text]
  for _ in range(signs):
    values = [_SIGN.sub(sign, value, 1) for value in values for sign in '+-']
  return ', '.join(values)


def _depths(text: str) -> list[int]:
  return list(itertools.accumulate((c in '([{') - (c in ')]}') for c in text))


def _split(text: str, sign: str) -> list[str]:
  """text at the signs that stand in no bracket."""
  parts, start = [], 0
  for i, (c, depth) in enumerate(zip(text, _depths(text))):
    if c == sign and not depth and text[i - 1 : i] not in ('<', '>', '!', '\\', ':'):
      parts.append(text[start:i])
      start = i + 1
  return parts + [text[start:]]


def _tuple(text: str) -> bool:
  """Whether text is one pair of parentheses around a list."""
  text = re.sub(r'\\(?:left|right)(?![a-z])|\s', '', text)
  return text[:1] == '(' and text[-1:] == ')' and ',' in text and 0 not in _depths(text)[:-1]


def _list(text: str) -> bool:
  """Whether text is a list without any bracket around a comma."""
  return len(_split(text, ',')) > 1 and not re.search(r'[(\[]', text)


def _same_shape(text: str, other: str) -> str:
  """text in the notation of other where both are usual: 'x=1 or x=-2' as '1,-2', a column vector as a tuple."""
  text = _OR.sub(', ', text) if not re.search(r'<|>|\\[lg]e', text) else text
  if '=' not in other and len(set(_SAME_NAME.findall(text))) == 1 and len(_split(text, ',')) > 1:
    text = re.sub(r'(^|,)\s*[A-Za-z](?:_\{?\d+\}?)?\s*=(?!.*=.*,)|(^|,)\s*[A-Za-z](?:_\{?\d+\}?)?\s*=', r'\1\2', text)
  if _list(text) and _tuple(other) and '=' not in text:  # '2,3' for the point (2,3): then the order counts
    text = f'({text})'
  match = _COLUMN.fullmatch(text.strip())
  if match and other.lstrip().startswith(('(', '\\left(')):
    text = '(' + ','.join(part.strip() for part in match.group(1).split('\\\\')) + ')'
  return text


def _ratio(gold: str, answer: str) -> bool | None:
  """Whether two ratios a:b:c are in proportion; None if neither is one."""
  golds, answers = _split(gold, ':'), _split(answer, ':')
  if len(golds) == len(answers) == 1:
    return None
  if len(golds) != len(answers):
    return False
  golds, answers = ([_parse(part)[0] for part in parts] for parts in (golds, answers))
  zero = sympy.Integer(0)
  return not any(exact.same(v, zero) for v in (golds[0], answers[0])) and all(
    exact.same(g * answers[0], a * golds[0]) for g, a in zip(golds, answers)
  )


_INTERVAL = re.compile(r'\[[^\[\]()]*,[^\[\]()]*[\])]|\([^\[\]()]*,[^\[\]()]*\]')
_I, _J = re.compile(r'(?<![A-Za-z\\])i(?![A-Za-z])'), re.compile(r'(?<![A-Za-z\\])[jI](?![A-Za-z])')
_VECTOR = re.compile(r'\\(?:mathbf|hat|vec|bm|boldsymbol)')
_DEGREES = re.compile(r'(\d+(?:\.\d+)?|\\frac\{\d+\}\{\d+\})\s*\^\s*\{?\s*\\circ\s*\}?')
_BASE = re.compile(r'\d+_\{?\d+\}?')


def _approximations(answer: str, gold: str) -> str | None:
  r"""'\sqrt2\approx1.41' without what is approximate, if that is right to its last digit; None if it isn't."""
  exactly, *rest = re.split(r'\\approx|\\simeq|\\doteq', answer)
  if not exactly.strip():
    return rest[0] if len(rest) == 1 else None
  value, _ = _parse(_split(exactly, '=')[-1])
  for part in rest:
    number, decimals = _parse(part)
    if not number.is_Rational:
      return None
    near = value.free_symbols or exact.near(value, number, decimals.get(abs(number), 0))
    if near and exact.same(_parse(gold)[0], number):
      return part
    if value.free_symbols and len(rest) == 1:
      return part  # x \approx 1.41
    if not near:
      return None
  return exactly


def _intervals(text: str) -> str:
  r"""'x\le0 or 1/2<x\le1' -> '(-\infty,0]\cup(1/2,1]'."""
  parts = _UNION.split(text)
  bounds = [interval(normalise(part)) for part in parts]
  if len(parts) > 1 and any(bound != normalise(part) for bound, part in zip(bounds, parts)):
    return '\\cup '.join(bound.replace('@', ' ') for bound in bounds)
  return text


_UNION = re.compile(r'\\text\s*\{\s*or\s*\}|(?<![\\A-Za-z])or(?![A-Za-z])|\\(?:lor|vee|cup)(?![A-Za-z])')


def _equal(answer: str, gold: str) -> bool:
  answer, gold = _clean(closed.unlabelled(answer, gold)), _clean(closed.unlabelled(gold, answer))
  answer, gold = _intervals(answer), _intervals(gold)
  gold = re.sub(r'(?<=[\d})])(?:\\ |\s)*\\text\s*\{[^{}\d]*\}(?:\^\{?[23]\}?)?$', '', gold)  # a unit that nobody knows
  answer, gold = _same_shape(answer, gold), _same_shape(gold, answer)
  if closed.words(answer, gold):
    return False
  if set(_BASE.findall(answer)) - set(_BASE.findall(gold)):
    return False
  if _INTERVAL.search(answer) and not re.search(r'[\[\]<>]|\\[lg]', gold):
    return False  # [5,5] for 5
  if '\\approx' in answer and '\\approx' not in gold:
    answer = _approximations(answer, gold)
    if answer is None:
      return False
  if re.search(r'\\(?:sin|cos|tan|cot|sec|csc)', answer + gold):
    answer, gold = (_DEGREES.sub(r'(\1 \\cdot \\frac{\\pi}{180})', text) for text in (answer, gold))
  answer, gold = (re.sub(r'\^\s*\{?\s*\\circ\s*\}?', '', text) for text in (answer, gold))
  if ':' in answer + gold:
    names = lambda text: text.split('=')[-1] if text.count('=') == 1 else text
    same = _ratio(names(gold), names(answer))
    if same is not None:
      return same
  if _J.search(answer) and not _I.search(answer) and _I.search(gold) and not _VECTOR.search(answer + gold):
    answer = _J.sub('i', answer)  # 14-1j
  g, own = _parse(gold)
  try:
    a, decimals = _parse(answer)
  except Exception:  # pylint: disable=broad-except
    if '=' not in answer or '=' in gold:
      return False
    label, *middle, last = _split(answer, '=')  # P(A|B)=1/2: the name is no formula; the parser fails for 1/2=1/2=0.5
    a, decimals = _parse(last)
    if middle or re.fullmatch(r'[\d\s.+*/^(){}\\-]*', label):
      if not all(exact.same(_parse(part)[0], a) for part in (label, *middle)):
        return False
  if (
    isinstance(g, sympy.FiniteSet)
    and isinstance(a, sympy.FiniteSet)
    and _list(answer)
    and _list(gold)
    and not re.search(r'=|\\[pm][pm]|\\\{|\d,\d{3}(?!\d)', answer + gold)
  ):
    golds, answers = _split(gold, ','), _split(answer, ',')
    if len(golds) != len(answers):
      return False
    if len(golds) > min(len(g.args), len(a.args)):  # 1,1,2 is not 1,2,2
      return exact.matched(golds, answers, lambda x, y: _equal(y, x))
  rules = compare.Rules({abs(value): places for value, places in decimals.items()}, MIN_DIGITS, not own)
  return compare.equal(g, a, rules)


def equal(answer: str, gold: str) -> bool:
  """Whether an extracted answer is equal to the gold answer.

  Args:
    answer: content of the box, already capped and checked by answers.at_once.
    gold: the right answer.
  Returns:
    True if equal, see compare.py and exact.py. Whatever the libraries raise on odd text counts as not equal, also
    MemoryError.
  """
  try:
    return _equal(answer, gold)
  except Exception:  # pylint: disable=broad-except
    return False  # the answer broke a parser; a fault of our own machinery ends the process instead
