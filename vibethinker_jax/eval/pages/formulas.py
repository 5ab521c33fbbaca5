r"""LaTeX in prompts and responses as MathML, which browsers show without a script or a font from the net.

  split('so $x^2$ is') == ['so ', ('x^2', False, '$x^2$'), ' is']

What cannot be converted (or all of it, where latex2mathml is not installed) stays the LaTeX that it is. The text is
written by models: the MathML is rebuilt from known elements and attributes, so no link, style or script gets through.
"""

import functools
import html
import re
from xml.etree import ElementTree

try:
  from latex2mathml import converter
except ImportError:  # installed before it was needed: the page shows the source
  converter = None

LONGEST = 2000  # characters of one formula
_BRACED = r'\{(?:[^{}\n]|\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\})*\})*\}'
# A single $ opens before and closes after what is not a space, and does not close before a digit: '$5 and $6' is money.
_SEGMENT = re.compile(
  r'\$\$(?P<a>[^$]+?)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>.+?)\\\)|(?<![\\$])\$(?P<d>(?! )[^$\n]+?)(?<![ \\])\$(?![\d$])'
  r'|(?P<e>\\begin\{(?P<name>align|equation|gather)\*?\}.+?\\end\{(?P=name)\*?\})'
  r'|(?P<f>\\boxed(?!\{\s*\})' + _BRACED + ')',
  re.DOTALL,
)
_TAGS = set(
  'math mrow mi mn mo ms mtext mspace msup msub msubsup mfrac msqrt mroot mover munder munderover mtable '
  'mtr mtd mstyle mpadded mphantom menclose mmultiscripts mprescripts'.split()
)
_ATTRIBUTES = set(
  'display stretchy fence form accent displaystyle scriptlevel linethickness columnalign mathvariant '
  'minsize maxsize width notation separator movablelimits lspace rspace largeop columnspacing'.split()
)
_ALIGNED = re.compile(r'\\(begin|end)\{(?:aligned|split|gathered|gather\*?|align|equation\*?|eqnarray\*?)\}')


def split(text: str) -> list:
  """A text as pieces: plain text, and (LaTeX, whether it stands on a line of its own, source) for every formula."""
  pieces, at = [], 0
  for match in _SEGMENT.finditer(text):
    found = match.groupdict()
    latex = next(found[name] for name in 'abcdef' if found[name] is not None)
    display = any(found[name] is not None for name in 'abe')
    pieces += [text[at : match.start()]] * (match.start() > at) + [(latex.strip(), display, match.group())]
    at = match.end()
  return pieces + [text[at:]] * (at < len(text))


@functools.lru_cache(maxsize=65536)
def mathml(latex: str, display: bool = False) -> str | None:
  """A `<math>` element as text; None for what cannot be converted."""
  if converter is None or len(latex) > LONGEST:
    return None
  latex = _ALIGNED.sub(r'\\\1{align*}', latex).replace('\\cfrac', '\\dfrac').replace('\\!', '')
  latex = re.sub(r'\\dots(?![a-z])|\\dots[a-z](?![a-z])', r'\\ldots', latex)
  try:
    found = _clean(converter.convert_to_element(latex, display='block' if display else 'inline'))
  except Exception:  # of any kind, for malformed LaTeX: the page shows the source then
    return None
  return None if found is None else ElementTree.tostring(found, encoding='unicode')


def _clean(element) -> ElementTree.Element | None:
  """A copy of known elements and attributes; None if there is anything else, or a command that was not understood."""
  tag = element.tag.rpartition('}')[2]
  text = html.unescape(element.text or '')
  if tag not in _TAGS or tag in ('mi', 'mo') and (text == '&' or re.match(r'\\[A-Za-z]', text)):
    return None
  made = ElementTree.Element(tag, {name: value for name, value in element.attrib.items() if name in _ATTRIBUTES})
  made.text = text.strip('\n')
  for child in element:
    part = _clean(child)
    if part is None:
      return None
    made.append(part)
  return made
