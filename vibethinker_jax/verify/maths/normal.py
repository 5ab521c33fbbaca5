r"""One spelling for answers that differ only in form. Pure text work: nothing is evaluated.

normalise('\\dfrac12') == normalise('\\frac{1}{2}')
"""

from __future__ import annotations

from fractions import Fraction
import functools
import re

from vibethinker_jax.verify.maths import plain, units
from vibethinker_jax.verify.parts import closing_brace

_TEXT = re.compile(r'\\(?:text|mathrm|mathbf|mathsf|operatorname|bm|boldsymbol)\s*\{([^{}\\]*)\}')
_JOINED = re.compile(r'(\d\}?)\s*(?=\\(?:text|math)[a-z]*\s*\{\d)')  # 1\text{2} is not 12
_SPACING = re.compile(r'\\[,;:! ]|\\q?quad\b|~|\s+')
_GAP = re.compile(r'(?<=\d)(?:\\[,;:! ]|\\q?quad\b|~|\s)+(?=\d)')
_GROUPS = r'(?<![\d.@])\d{1,3}(?:@\d{3})+(?![\d@])'  # 12 345
_THOUSANDS = re.compile(r'^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$')


_CLOCK = re.compile(r'(\d{1,2})(?::(\d\d(?::\d\d)?))?\s*([ap])\.?\s*m\.?', re.IGNORECASE)
_PHRASE = re.compile(
  r'^(?P<group>\\text\s*\{\s*)?(?:(?:so|thus|hence|therefore),?\s+)?'
  r'(?:the\s+|my\s+)?(?:final\s+|correct\s+)?'
  r'(?:(?:answer|result|value|solution)(?:\s+is\s*:?|\s*:)|ans(?:\.|\s*:)|答案(?:是|为)?:?)'
  r'(?P<end>\s*\})?\s*',
  re.IGNORECASE,
)
_PERCENT = re.compile(
  r'(?<=[\d}])(?:\\[ ,;!]|~|\s)*(?:\\text\s*\{\s*)?(?<![A-Za-z])(?:per ?cent(?:age)?|pct)'
  r'\.?\s*\}?\s*\.?$',
  re.IGNORECASE,
)
_NUMBER = re.compile(r'-?\d+(?:\.\d+)?', re.ASCII)
_POWERS = {'hundred': 100, 'thousand': 10**3, 'million': 10**6, 'billion': 10**9, 'trillion': 10**12}
_LARGE = re.compile(r'(\d[\d,]*(?:\.\d+)?)\s*(?:\\ |~)*\s*(hundred|thousand|million|billion|trillion)', re.IGNORECASE)
_E_NOTATION = re.compile(r'([-+]?(?:\d+\.?\d*|\.\d+))[eE]\+?(-?\d{1,3})')
_INTEGER = re.compile(r'(?:,|\\,|\\;|\\quad|\s|\()*\b([a-z])\s*\\in\s*(?:\\mathbb\s*\{?\s*Z\s*\}?|\\Z)\s*\)?\s*$')
EDGES = ''.join(map(chr, [*range(33), 127]))  # white space and control characters


def unphrased(text: str) -> str:
  r"""'\text{The answer is }7' -> '7'."""
  match = _PHRASE.match(text) if re.search(r'nswer|esult|alue|olution|[Aa]ns[.:]|答案', text) else None
  if not match:
    return text
  rest = text[match.end() :].strip()
  if match['group'] and not match['end'] and rest.endswith('}') and closing_brace(rest, 0) == len(rest) - 1:
    rest = rest[:-1].strip(' .')  # \text{The answer is 7.}
  elif match['end'] and not match['group']:
    return text
  return rest or text


def strip_quantifier(text: str) -> str:
  r"""'k\pi, k\in\mathbb{Z}' -> 'k\pi': that the parameter of a general solution is an integer goes without
  saying."""
  match = _INTEGER.search(text)
  return text[: match.start()] if match and match.group(1) in text[: match.start()] else text


@functools.lru_cache(maxsize=4096)  # of a group's samples most give the same answers
def normalise(answer: str) -> str:
  r"""One spelling for answers that differ only in form; two answers with the same result are equal.

  Removes $ signs, \left \right, spacing, trailing punctuation, known units, degree signs and thousands
  separators, 'k \in Z'; \dfrac -> \frac, \frac12 -> \frac{1}{2}, \sqrt3 -> \sqrt{3}, x^{2} -> x^2, \text{East} -> east.
  '6:30 P.M.' -> 6:30pm. '%' stays.
  Source: the rules common to the graders of MATH (Hendrycks et al. 2021) and Minerva (Lewkowycz et al. 2022).
  """
  text = answer.strip(EDGES)
  if _NUMBER.fullmatch(text):
    return text
  text = unphrased(plain.fonts(plain.ascii_text(text)))
  for box in ('\\boxed{', '\\fbox{'):
    if text.startswith(box) and closing_brace(text, len(box)) == len(text) - 1:
      text = text[len(box) : -1].strip()
  for pair in (('$', '$'), ('\\(', '\\)'), ('\\[', '\\]'), ('$', '$')):
    if text.startswith(pair[0]) and text.endswith(pair[1]) and len(text) > sum(map(len, pair)):
      text = text[len(pair[0]) : -len(pair[1])].strip()
  text = re.sub(r',?\s*\\!\s*', lambda m: m.group()[:1].strip('\\ '), text) if '\\!' in text else text
  text = re.sub(r'(?:\\[,;:! ])+$', '', re.sub(r'^(?:\\[,;:!])+', '', text)).rstrip(' .,;')
  if ' to ' in text:
    text = re.sub(r'(?<=\d)\s*(?:\\text\s*\{)? to (?:\})?\s*(?=\d)', ':', text)
  text = units.strip_unit(strip_quantifier(_PERCENT.sub('\\%', text)))
  words = _TEXT.sub(r'\1', text).strip()
  if clock := _CLOCK.fullmatch(words):
    return f'{int(clock[1])}:{clock[2] or "00"}{clock[3].lower()}m'
  if re.fullmatch(r'[A-Za-z][A-Za-z .\'-]*[A-Za-z.]', words) and (words != text or len(words) > 3):
    return re.sub(r'[\s.]+', '', words).lower()
  if match := _LARGE.fullmatch(words):
    number = Fraction(match[1].replace(',', '')) * _POWERS[match[2].lower()]
    return str(number)
  text = _TEXT.sub(r'\1', _JOINED.sub(r'\1 ', text)) if '{' in text else text
  if match := _E_NOTATION.fullmatch(text):
    text = f'{match[1]}*10^{match[2]}'
  text = re.sub(r'\\(?:left|right)(?![a-z])', '', text).replace('\\$', '').replace('$', '')
  text = re.sub(r'\\[dtc]frac', r'\\frac', text.replace('{,}', ',').replace('\\%', '%'))
  text = text.replace('π', '\\pi').replace('−', '-').replace('×', '\\times').replace('\\cdot', '*')
  text = re.sub(r'\^\s*\{?\s*\\circ\s*\}?(?:\s*[CF]$)?|°', '', text)
  # '\pi r' keeps its gap, which ends the command
  text = re.sub(r'(\\[A-Za-z]+)\s+(?=[A-Za-z])', r'\1@', text)
  text = re.sub(r'\\frac\s*(\d)\s+(\d)(?!\d)', r'\\frac{\1}{\2}', text)
  text = _GAP.sub('@', text)  # '1 7' is not 17, and '1 1/2' is not 11/2
  text = re.sub(_GROUPS, lambda match: match.group().replace('@', ''), text)
  if _THOUSANDS.match(text):  # before the spaces go: '32, 349' is a list
    text = text.replace(',', '')
  text = _SPACING.sub('', text)
  text = re.sub(r'\\frac(\d)(\d)(?!\d)', r'\\frac{\1}{\2}', text)
  text = re.sub(r'\\sqrt(\d|[A-Za-z])', r'\\sqrt{\1}', text)
  text = re.sub(r'([_^])\{([A-Za-z0-9])\}', r'\1\2', text)
  return re.sub(r'\((\d+)\)_', r'\1_', text) if ')_' in text else text
