r"""What an answer may be made of: the answer must be one, not the problem for the verifier to work out.

  closed('\\frac{\\sqrt3}{2}', '0.87')
  not closed('\\int_0^1 dx', '1')
  closed('\\sum_{k=1}^n a_k', '\\sum_{j=1}^n a_j')

Allowed is what stands in the tables below, and what the gold answer has. Text only, microseconds, nothing is evaluated.
"""

from __future__ import annotations

import re

# operation -> LaTeX commands (without the backslash) and plain words that write it
TABLE = {
  'arithmetic': 'cdot times div pm mp frac dfrac tfrac cfrac over ast',
  'roots': 'sqrt root of cbrt surd',
  'exponentials and logarithms': 'exp ln log lg',
  'trigonometric': 'sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan acot '
  'sinh cosh tanh coth sech csch arcsinh arccosh arctanh arsinh arcosh artanh asinh acosh atanh',
  'counting': 'binom dbinom tbinom choose',
  'absolute value': 'lvert rvert vert abs',
  'constants': 'pi infty inf infinity oo circ degree imath emptyset varnothing',
  'letters': 'alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma '
  'tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega Pi ell hbar '
  'vec hat bar overline tilde dot mathbf mathit boldsymbol bm mathcal mathfrak overrightarrow widehat',
  'sets and relations': 'in cup setminus backslash mathbb R Z N Q C le leq leqslant ge geq geqslant lt gt ne neq '
  'approx or and lor land vee wedge mid colon lbrace rbrace langle rangle lbrack rbrack quad qquad',
  'matrices': 'begin end pmatrix bmatrix matrix smallmatrix array hline',
  'names and layout': 'angle triangle text mathrm rm textrm textbf textit textnormal textsf texttt mbox hbox mathsf '
  'operatorname left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle '
  'limits mathstrut mathop hspace boxed fbox dollar',
}
ALLOWED = frozenset(word for words in TABLE.values() for word in words.split())

# names of operations, which letters of a product could spell by chance, and which may stand in a name: x_{\max}
OPERATIONS = frozenset(
  'lim limsup liminf sum prod int iint iiint oint gcd lcm hcf max min sup argmax argmin arg det perm tr trace rank '
  'dim ker deg mod bmod pmod rem floor ceil ceiling lfloor rfloor lceil rceil round trunc diff '
  'derivative integrate integral partial nabla prime Re Im conj norm sgn sign prod product card Pr perm comb nCr nPr '
  'cap bigcup bigcap bigoplus cdots ldots dots dotsc dotsb vdots ddots to rightarrow Rightarrow implies iff '
  'mapsto'.split()
)

_COMMAND = re.compile(r'\\([A-Za-z]+)')
_WORD = re.compile(r'(?<![\\A-Za-z])[A-Za-z]{2,}')
_GROUP = re.compile(r'\\(?:text(?:normal|rm|bf|it|sf|tt)?|math(?:rm|sf)|[mh]box|operatorname)\*?\s*\{([^{}]*)\}')
# what has no name: dots, derivatives, determinants, products of matrices, values at a point, n_k, n%k
_SIGNS = {
  'dots': re.compile(r'\.{2,}|…|⋯'),
  'prime': re.compile(r"'|′|\^\s*\{?\s*\\prime"),
  'derivative': re.compile(
    r'\\[dt]?frac\s*\{?\s*(?:\\mathrm\s*\{?\s*|\{?\\rm\s*)?(?:d|\\partial)\}?(?![a-z]{3})'
    r'(?:[^{}]|\{[^{}]*\})*?\}?\s*\{?\s*'
    r'(?:\\mathrm\s*\{?\s*|\{?\\rm\s*)?(?:d|\\partial)\}?\s*\\?[a-z]|\bd\s*/\s*d[a-z]'
  ),
  'value at a point': re.compile(r'\|\s*_|\]\s*_|\\(?:right|bigr?|Bigr?)\s*[|\]]\s*_'),
  'determinant': re.compile(r'\|\s*\\begin|\\begin\s*\{[vV]matrix|\|\s*\\left\s*[\[(]\s*\\begin|\|\s*\(\s*\\begin'),
  'matrix power': re.compile(r'\\end\s*\{[a-z]*\}\s*(?:\\right\s*[\])]|[)\]])?\s*(?:\^|!)'),
  'gamma function': re.compile(r'\\Gamma\s*(?:\\left)?\s*\('),
  'norm': re.compile(r'\\\|'),
  'base or falling factorial': re.compile(r'[\d)]\s*_'),
  'sum': re.compile('[∑∏∫∬∭∮∂∇∩⋂⋃∖]'),
  'operation on sets': re.compile(r'\\\}\s*\\(?:setminus|backslash|cup\s*(?:\\left\s*)?\\\{)'),
  'value at infinity': re.compile(r'\\(?:ln|log|exp|arctan|sqrt)\W*\\infty|\^\s*\{?\s*[-+]?\s*\\infty|\d\s*\\infty'),
}
_ABSOLUTE = re.compile(r'(?:\\left)?\s*(?:\||\\[lr]?vert)([^|]*?)(?:\\right)?\s*(?:\||\\[lr]?vert)|\babs\(([^()]*)\)')
_NUMBER = re.compile(r'[-+\d.,/]*')
_MATRIX = re.compile(r'\\begin\s*\{')


def _names(text: str) -> set[str]:
  """Commands and words of two letters or more in text, those of \\text{...} too."""
  bare = _GROUP.sub(lambda m: ' ' + m[1] + ' ', text)
  words = set(_WORD.findall(_COMMAND.sub(' ', bare)))
  return {*_COMMAND.findall(text)} | words


def operations(text: str) -> set[str]:
  """What a text has that the table does not allow: names of operations and kinds of signs."""
  found = {name for name in _names(text) if name in OPERATIONS or name.lower() in OPERATIONS and len(name) > 2}
  found |= {name for name in _COMMAND.findall(text) if name not in ALLOWED}
  for match in _ABSOLUTE.finditer(text):  # |x-3| is an answer, |3+4i| a task
    if not re.search(r'[A-Za-hj-z]', re.sub(r'\\[A-Za-z]+', '', match[1] or match[2] or '')):
      found.add('absolute value')
  return found | {kind for kind, sign in _SIGNS.items() if sign.search(text)}


def closed(answer: str, gold: str) -> bool:
  """Whether an answer has only operations that the table allows or the gold has, and not more matrices than it."""
  if _NUMBER.fullmatch(answer) or operations(answer) - operations(gold):
    return bool(_NUMBER.fullmatch(answer))
  return len(_MATRIX.findall(answer)) <= max(1, len(_MATRIX.findall(gold)))


def words(text: str, gold: str) -> bool:
  """Whether text has words that are neither operations of the table, nor the gold's, nor products of its letters."""
  its, letters = _names(gold), set(re.sub(r'\\[A-Za-z]+', '', gold))
  for word in _names(text) - its:
    if len(word) == 1 or word in ALLOWED or word.lower() in ALLOWED and len(word) > 2:
      continue
    if len(word) == 2 and word not in ('or', 'if', 'is', 'no', 'to', 'Re', 'Im', 'tr'):
      continue
    if not set(word) <= letters:
      return True
  return False


_LABEL = re.compile(r'^\s*(?P<label>[^=<>,]*?[A-Za-z][^=<>,]*?)\s*=\s*(?P<rest>[^=<>]+|.*=.*)$', re.DOTALL)
_FUNCTION = re.compile(
  r"\s*[A-Za-z](?:_\{?\w+\}?)?(?:'|′|\^\{?\\prime\}?|\^\{-1\})*\s*\([^()=]*\)\s*|\s*[A-Za-z]'+\s*"
  r'|\s*\\[dt]?frac\s*\{(?:d|\\mathrm\s*\{d\})\s*[A-Za-z]\}\s*\{(?:d|\\mathrm\s*\{d\})\s*[A-Za-z]\}\s*'
)


_NO_NAME = re.compile(r'\\n(?:ot|eq?)(?![A-Za-z])|\bnot\b|[!/]\s*$|^\s*-\s*[A-Za-z]\s*$')


def unlabelled(answer: str, gold: str) -> str:
  r"""'\frac{dy}{dx}=2x', 'f'(2)=12' and 'x_{\max}=5' without the name, where the gold has none: a name computes
  nothing.

  A label with digits, or with letters that the value has as well, is left where it is, unless it is f(x) or dy/dx.
  """
  match = _LABEL.match(answer) if '=' in answer and '=' not in gold else None
  if not match:
    return answer
  label, rest = match['label'], match['rest']
  if _NO_NAME.search(label):  # -x=5, x\not=5, x != 5
    return answer
  if ',' in rest and '=' in rest:  # x=1, y=2
    return answer
  if _FUNCTION.fullmatch(label):
    return rest
  letters = lambda text: set(re.findall('[A-Za-z]', re.sub(r'\\[A-Za-z]+|[_^]\{[^{}]*\}|_.', '', text))) - set('eiE')
  bare = re.sub(r'_\{[^{}]*\}|_.', '', label)
  if re.search(r'\d', bare) or not letters(label) or letters(label) & letters(rest):
    return answer
  return rest
