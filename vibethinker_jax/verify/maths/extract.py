r"""Finds the final answer or program in a response. Pure text work: nothing of it is evaluated.

  answer_text('<think>6*7</think>So \\boxed{42}.') == '42'
  code_text('<think>x</think>\n```python\nprint(5)\n```') == 'print(5)\n'
"""
from __future__ import annotations

from fractions import Fraction
import functools
import re
import unicodedata

from vibethinker_jax.verify.maths import plain, units

MAX_ANSWER = 400  # characters: longer answers cost antlr seconds and are never right (reliability.md)
MAX_NESTING = 30

_OPEN, _CLOSE = '<think>', '</think>'
# \boxed{...}; \boxed 7 and \boxed\pi are what TeX allows too, and people write \boxed 17
_BOX = re.compile(r'\\(?:boxed|fbox)\s*(?:(?P<brace>\{)|(?P<token>[-+]?\d[\d,]*(?:\.\d+)?(?:/\d+)?'
                  r'|\\[dt]?frac\s*(?:\{[^{}]*\}\s*\{[^{}]*\}|\d\s*\d)|\\(?:pi|infty|emptyset|varnothing)|[A-Za-z])'
                  r'(?=[\s$.,;)\]\\。]|$))')
_FENCE = re.compile(r'^[ \t]*```[ \t]*([A-Za-z0-9_+-]*)[^\n`]*$', re.MULTILINE)


def final_text(response: str) -> str | None:
  """The part of a response that is judged.

  Args:
    response: the model's whole text. The chat template may have put '<think>' into the prompt, so that only
      '</think>' is in the response.
  Returns:
    The text after the only '</think>'; the whole response if it has no think tag at all; None when a thought
    is never closed, or there is more than one '</think>' (a second one could hide a first answer).
  """
  closes = response.count(_CLOSE)
  if closes == 0:
    return None if _OPEN in response else response
  if closes > 1:
    return None
  final = response[response.index(_CLOSE) + len(_CLOSE):]
  return None if _OPEN in final else final


def closing_brace(text: str, start: int) -> int:
  r"""Index of the brace that closes the group whose content begins at start, -1 if none (\{ and \} don't
  count)."""
  depth, i = 1, start
  while i < len(text):
    c = text[i]
    if c == '\\':
      i += 1
    elif c == '{':
      depth += 1
    elif c == '}':
      depth -= 1
      if depth == 0:
        return i
    i += 1
  return -1


def boxes(text: str) -> list[str] | None:
  r"""Contents of the top-level \boxed{} of text in order; None if one of them is not closed (truncated)."""
  found, at = [], 0
  while match := _BOX.search(text, at):
    end = closing_brace(text, match.end()) if match['brace'] else match.end()
    if end < 0:
      return None
    found.append(text[match.end():end] if match['brace'] else match['token'].rstrip(','))
    at = end + 1
  return found


_BESIDE = re.compile(r'(?:[\s,;$&~、，]|\\(?:[,;:! ()\[\]]|q?quad\b|text\s*\{\s*(?:,?\s*(?:and|or))?\s*,?\s*\})'
                     r'|\band\b|\bor\b|和|或|[A-Za-z](?:_\{?\w\}?)?\s*=)*')


def side_by_side(text: str) -> str | None:
  r"""The parts of an answer given in several boxes: 'x=\boxed{1}, y=\boxed{2}' -> '1, 2'.

  None unless all boxes of text stand in its last line that has one, with nothing but separators and names between.
  """
  start = next((m.start() for m in _BOX.finditer(text)), -1)
  last = text[start:].strip()
  if start < 0 or '\n' in last[:max(m.start() for m in _BOX.finditer(last))]:
    return None
  parts, at = [], 0
  for match in _BOX.finditer(last):
    if match.start() < at:
      return None
    if parts and not _BESIDE.fullmatch(last[at:match.start()]):
      return None
    end = closing_brace(last, match.end()) if match['brace'] else match.end() - 1
    parts.append((last[match.end():end] if match['brace'] else match['token'].rstrip(',')).strip(_EDGES + '$'))
    at = (end if match['brace'] else match.end() - 1) + 1
  return ', '.join(parts) if len(set(map(normalise, parts))) == len(parts) <= 8 and all(map(str.strip, parts)) else None


def nesting(text: str) -> int:
  """The deepest nesting of (), [] and {} in text, counting openings only where they are not yet closed."""
  depth = deepest = 0
  for c in text:
    if c in '([{':
      depth += 1
      deepest = max(deepest, depth)
    elif c in ')]}':
      depth = max(depth - 1, 0)
  return deepest


def usable(answer: str) -> bool:
  """Whether an answer may go on to comparison: not blank, short, shallow, only ASCII digits, no zero-width
  characters."""
  if not answer.strip() or len(answer) > MAX_ANSWER or nesting(answer) > MAX_NESTING:
    return False
  if answer.isascii() and answer.isprintable():
    return True
  return not any(c.isdigit() and not c.isascii() or unicodedata.category(c) in ('Cf', 'Cs') for c in answer)


def answer_text(response: str) -> str | None:
  r"""The boxed answer of a response.

  Args:
    response: the model's whole text.
  Returns:
    The content of the last \boxed{} after the only '</think>'. None, which is judged wrong, if there is no
    box, one is not closed, several differ (hedging) and do not stand side by side as the parts of one
    answer, which are then returned as a list; the answer is blank, over 400 characters, nested deeper than 30 or has
    digits of other scripts (full-width ones are read), or the think tags are malformed. Source: reliability.md,
    Maths verification.
  """
  final = final_text(response)
  found = boxes(final) if final is not None else None
  found = [plain.ascii_text(box) for box in found or ()]
  while found and not found[0].strip():
    found.pop(0)  # the prompt's 'put your answer in \\boxed{}' restated; after an answer an empty box withdraws it
  spellings = set(found or ())
  if not spellings or len(spellings) > 32 or not all(map(usable, spellings)):
    return None
  if len(set(map(normalise, spellings))) > 1:
    parts = side_by_side(final)
    return plain.ascii_text(parts) if parts and usable(plain.ascii_text(parts)) else None
  return found[-1].strip(_EDGES)


def code_text(response: str) -> str | None:
  """The last closed fenced python block after the only '</think>'.

  Args:
    response: the model's whole text.
  Returns:
    The program with its final newline; None if there is no closed ```python (or py, python3) block, if the
    last fence is not closed (truncated), or the think tags are malformed.
  """
  final = final_text(response)
  if final is None:
    return None
  source, language, start = None, None, 0
  for fence in _FENCE.finditer(final):
    if start == 0:
      language, start = fence.group(1).lower(), fence.end() + 1
    elif not fence.group(1):
      if language in ('python', 'py', 'python3'):
        source = final[start:fence.start()]
      start = 0
  return None if start else source


_TEXT = re.compile(r'\\(?:text|mathrm|mathbf|mathsf|operatorname|bm|boldsymbol)\s*\{([^{}\\]*)\}')
_JOINED = re.compile(r'(\d\}?)\s*(?=\\(?:text|math)[a-z]*\s*\{\d)')  # 1\text{2} is not 12
_SPACING = re.compile(r'\\[,;:! ]|\\q?quad\b|~|\s+')
_GAP = re.compile(r'(?<=\d)(?:\\[,;:! ]|\\q?quad\b|~|\s)+(?=\d)')
_GROUPS = r'(?<![\d.@])\d{1,3}(?:@\d{3})+(?![\d@])'  # 12 345
_THOUSANDS = re.compile(r'^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$')


_CLOCK = re.compile(r'(\d{1,2})(?::(\d\d(?::\d\d)?))?\s*([ap])\.?\s*m\.?', re.IGNORECASE)
_PHRASE = re.compile(r'^(?P<group>\\text\s*\{\s*)?(?:(?:so|thus|hence|therefore),?\s+)?'
                     r'(?:the\s+|my\s+)?(?:final\s+|correct\s+)?'
                     r'(?:(?:answer|result|value|solution)(?:\s+is\s*:?|\s*:)|ans(?:\.|\s*:)|答案(?:是|为)?:?)'
                     r'(?P<end>\s*\})?\s*', re.IGNORECASE)
_PERCENT = re.compile(r'(?<=[\d}])(?:\\[ ,;!]|~|\s)*(?:\\text\s*\{\s*)?(?<![A-Za-z])(?:per ?cent(?:age)?|pct)'
                      r'\.?\s*\}?\s*\.?$', re.IGNORECASE)
_NUMBER = re.compile(r'-?\d+(?:\.\d+)?', re.ASCII)
_POWERS = {'hundred': 100, 'thousand': 10**3, 'million': 10**6, 'billion': 10**9, 'trillion': 10**12}
_LARGE = re.compile(r'(\d[\d,]*(?:\.\d+)?)\s*(?:\\ |~)*\s*(hundred|thousand|million|billion|trillion)', re.IGNORECASE)
_E_NOTATION = re.compile(r'([-+]?(?:\d+\.?\d*|\.\d+))[eE]\+?(-?\d{1,3})')
_INTEGER = re.compile(r'(?:,|\\,|\\;|\\quad|\s|\()*\b([a-z])\s*\\in\s*(?:\\mathbb\s*\{?\s*Z\s*\}?|\\Z)\s*\)?\s*$')
_EDGES = ''.join(map(chr, [*range(33), 127]))  # white space and control characters


def unphrased(text: str) -> str:
  r"""'\text{The answer is }7' -> '7'."""
  match = _PHRASE.match(text) if re.search(r'nswer|esult|alue|olution|[Aa]ns[.:]|答案', text) else None
  if not match:
    return text
  rest = text[match.end():].strip()
  if match['group'] and not match['end'] and rest.endswith('}') and closing_brace(rest, 0) == len(rest) - 1:
    rest = rest[:-1].strip(' .')  # \text{The answer is 7.}
  elif match['end'] and not match['group']:
    return text
  return rest or text


def strip_quantifier(text: str) -> str:
  r"""'k\pi, k\in\mathbb{Z}' -> 'k\pi': that the parameter of a general solution is an integer goes without
  saying."""
  match = _INTEGER.search(text)
  return text[:match.start()] if match and match.group(1) in text[:match.start()] else text


@functools.lru_cache(maxsize=4096)  # of a group's samples most give the same answers
def normalise(answer: str) -> str:
  r"""One spelling for answers that differ only in form; two answers with the same result are equal.

  Removes $ signs, \left \right, spacing, trailing punctuation, known units, degree signs and thousands
  separators, 'k \in Z'; \dfrac -> \frac, \frac12 -> \frac{1}{2}, \sqrt3 -> \sqrt{3}, x^{2} -> x^2, \text{East} -> east.
  '6:30 P.M.' -> 6:30pm. '%' stays.
  Source: the rules common to the graders of MATH (Hendrycks et al. 2021) and Minerva (Lewkowycz et al. 2022).
  """
  text = answer.strip(_EDGES)
  if _NUMBER.fullmatch(text):
    return text
  text = unphrased(plain.fonts(plain.ascii_text(text)))
  for box in ('\\boxed{', '\\fbox{'):
    if text.startswith(box) and closing_brace(text, len(box)) == len(text) - 1:
      text = text[len(box):-1].strip()
  for pair in (('$', '$'), ('\\(', '\\)'), ('\\[', '\\]'), ('$', '$')):
    if text.startswith(pair[0]) and text.endswith(pair[1]) and len(text) > sum(map(len, pair)):
      text = text[len(pair[0]):-len(pair[1])].strip()
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
