r"""Maths as people type it, for a parser of LaTeX: 'sqrt(3)/2', '2**10', '1e100', 'exp(16)', '3 + 4j', '{\rm cm}'.

latex('sqrt(2+sqrt(3))/2') == '\\sqrt{2+\\sqrt{3}}/2'
ascii_text('２０２４。') == '2024.'
"""

from __future__ import annotations

import re

# full-width ASCII and its look-alikes; other digits than ASCII's stay and are refused (extract.usable)
_WIDE = {i: i - 0xFEE0 for i in range(0xFF01, 0xFF5F)} | {
  ord(a): b
  for a, b in {
    '\u3000': ' ',
    '\u00a0': ' ',
    '\u2009': ' ',
    '\u202f': ' ',
    '。': '.',
    '、': ', ',
    '，': ', ',
    '−': '-',
    '–': '-',
    '—': '-',
    '‐': '-',
    '‑': '-',
    '【': '[',
    '】': ']',
    '“': '"',
    '”': '"',
    '’': "'",
    '×': '\\times ',
    '÷': '\\div ',
    '·': '\\cdot ',
    '⋅': '\\cdot ',
    '∙': '\\cdot ',
    '∗': '*',
    '∕': '/',
    '⁄': '/',
    'π': '\\pi ',
    'θ': '\\theta ',
    'α': '\\alpha ',
    'β': '\\beta ',
    'λ': '\\lambda ',
    '∞': '\\infty ',
    '≤': '\\le ',
    '≥': '\\ge ',
    '⩽': '\\le ',
    '⩾': '\\ge ',
    '≠': '\\ne ',
    '≈': '\\approx ',
    '∅': '\\emptyset ',
    '∪': '\\cup ',
    '∈': '\\in ',
    '±': '\\pm ',
    '∓': '\\mp ',
    '°': '^\\circ ',
    'ℝ': '\\mathbb{R}',
    '¹': '^1',
    '²': '^2',
    '³': '^3',
    '½': '\\frac{1}{2}',
    '⅓': '\\frac{1}{3}',
    '⅔': '\\frac{2}{3}',
    '¼': '\\frac{1}{4}',
    '¾': '\\frac{3}{4}',
    '⅕': '\\frac{1}{5}',
    '⅙': '\\frac{1}{6}',
    '⅛': '\\frac{1}{8}',
    '⅜': '\\frac{3}{8}',
    '⅝': '\\frac{5}{8}',
    '⅞': '\\frac{7}{8}',
  }.items()
}
_RADICAL = re.compile(r'([√∛])\s*(\d+(?:\.\d+)?|[A-Za-z]|\([^()]*\)|\{[^{}]*\}|\\pi)')

_RAISED, _LOWERED = re.compile('[⁰¹²³⁴-⁹⁺⁻ⁿ]+'), re.compile('[₀-₉ₙ]+')
_FLAT = str.maketrans('⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ₀₁₂₃₄₅₆₇₈₉ₙ', '0123456789+-n0123456789n')


def ascii_text(text: str) -> str:
  """Full-width forms, Chinese punctuation and signs that LaTeX writes as commands, as ASCII; other text as it is."""
  if text.isascii():
    return text
  root = lambda m: ('\\sqrt{' if m[1] == '√' else '\\sqrt[3]{') + m[2].strip('(){}') + '}'
  text = _RAISED.sub(lambda m: '^{' + m[0].translate(_FLAT) + '}', text)
  text = _LOWERED.sub(lambda m: '_{' + m[0].translate(_FLAT) + '}', text)
  return _RADICAL.sub(root, text).translate(_WIDE)


_FUNCTIONS = (
  'arcsin arccos arctan arccot arsinh arcosh artanh sinh cosh tanh sin cos tan cot sec csc exp ln log'.split()
)
_SHORT = {
  'asin': 'arcsin',
  'acos': 'arccos',
  'atan': 'arctan',
  'acot': 'arccot',
  'asinh': 'arsinh',
  'acosh': 'arcosh',
  'atanh': 'artanh',
  'inf': 'infty',
  'infinity': 'infty',
  'Infinity': 'infty',
  'Inf': 'infty',
  'Pi': 'pi',
  'lg': 'log',
}
_GREEK = 'alpha beta gamma delta epsilon theta lambda mu rho sigma phi psi omega pi'.split()
_NAMES = re.compile(
  r'(?<![\\A-Za-z{])('
  + '|'.join(sorted([*_FUNCTIONS, *_SHORT, *_GREEK], key=len, reverse=True))
  + r')(?![A-Za-z}])|(?<=[\d)])(pi)(?![a-z])'
)
_ROOT = re.compile(r'(?<![A-Za-z\\])(\\?)(sqrt|cbrt|abs)\s*(?=\()|(?<=[\d)])()(sqrt|cbrt)\s*(?=\()')
_BARE_ROOT = re.compile(r'(?<![A-Za-z\\])sqrt\s*(\d+(?:\.\d+)?|[a-z](?![A-Za-z]))')
_SCIENTIFIC = re.compile(r'(?<![\w.\\])(\d+\.?\d*|\.\d+)[eE]([-+]?)(\d{1,4})(?![\d.])')
_OVERLINE = re.compile(r'(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{(\d+)\}')
_RM = re.compile(r'\{\s*\\rm\s+([^{}]*)\}|\\rm\s*\{([^{}]*)\}|\\rm\s+([A-Za-z/]+)')
_FONTS = re.compile(r'\\(?:text(?:normal|rm|bf|it|sf|tt)|[mh]box)(?![A-Za-z])')
_ARRAY = re.compile(
  r'(?:\\left)?\s*([\[(])\s*\\begin\s*\{(?:array\}\s*\{[^{}]*\}|(?:small)?matrix\})(.*?)'
  r'\\end\s*\{(?:array|(?:small)?matrix)\}\s*(?:\\right)?\s*[\])]',
  re.DOTALL,
)


def fonts(text: str) -> str:
  r"""\textnormal{..}, \textbf{..}, \mbox{..}, {\rm ..} as \text{..}; [\begin{array}{cc}..\end{array}] as a pmatrix."""
  if '\\' not in text:
    return text
  if '\\degree' in text or '\\color' in text or '\\underline' in text or '\\lbrace' in text or 'textcolor' in text:
    text = re.sub(
      r'\\(?:textcolor|colorbox)\s*\{[^{}]*\}|\\color\s*\{[^{}]*\}', '', text.replace('\\degree', '^\\circ')
    )
    text = re.sub(r'\\underline(?=\s*\{)', '', text).replace('\\lbrace', '\\{').replace('\\rbrace', '\\}')
    text = text[1:-1] if re.fullmatch(r'\{[^{}]*\}', text) else text
  if '\\rm' in text:
    text = _RM.sub(lambda m: '\\text{' + (m[1] or m[2] or m[3] or '') + '}', text)
  if '\\begin' in text:
    text = _ARRAY.sub(lambda m: '\\begin{pmatrix}' + m[2].replace('\\hline', '') + '\\end{pmatrix}', text)
    text = re.sub(r'\\(begin|end)\s*\{\s*(?:b|small)matrix\s*\}', r'\\\1{pmatrix}', text)
  return _FONTS.sub(r'\\text', text)


def _closing(text: str, start: int) -> int:
  """Index of the parenthesis that closes the one at start, -1 if none."""
  depth = 0
  for i in range(start, len(text)):
    depth += (text[i] == '(') - (text[i] == ')')
    if depth == 0:
      return i
  return -1


def latex(text: str) -> str:
  """Plain spellings of constants, functions, powers and numbers as LaTeX. Text already in LaTeX stays."""
  text = re.sub(r'(?<![A-Za-z\\])oo(?![A-Za-z])', r'\\infty ', text)
  text = re.sub(r'(?<=[)\]])\s*U\s*(?=[(\[])', r' \\cup ', text)
  text = text.replace('**', '^').replace('<=', '\\le ').replace('>=', '\\ge ')
  text = re.sub(r'(?<![\d)}])!=', r'\\ne ', text)  # 5!=120
  text = re.sub(r'(?<=\d)\s*[xX]\s*(?=10\s*\^)', r' \\times ', text)
  text = _SCIENTIFIC.sub(lambda m: f'({m[1]} \\cdot 10^{{{m[2].replace("+", "")}{m[3]}}})', text)
  text = _OVERLINE.sub(_repeating, text)
  for _ in range(30):
    match = _ROOT.search(text)
    end = _closing(text, match.end()) if match else -1
    if end < 0:
      break
    brackets = {'sqrt': ('\\sqrt{', '}'), 'cbrt': ('\\sqrt[3]{', '}'), 'abs': ('\\left|', '\\right|')}
    head, tail = brackets[match[2] or match[4]]
    text = text[: match.start()] + head + text[match.end() + 1 : end] + tail + text[end + 1 :]
  text = _BARE_ROOT.sub(r'\\sqrt{\1}', text)
  text = _NAMES.sub(lambda m: '\\' + _SHORT.get(m[1] or m[2], m[1] or m[2]) + ' ', text)
  text = re.sub(r'\\sqrt\s*\(([^()]*)\)', r'\\sqrt{\1}', text)
  text = re.sub(r'\\(?:mathrm|text|operatorname)\s*\{\s*(e|i|j)\s*\}', r'\1', text)
  text = _caret(text)
  return text.replace('\\varnothing', '\\emptyset').replace('\\lg', '\\log').replace('\\ast', '\\cdot')


def _caret(text: str) -> str:
  """x^(1/3), x^-2 and x^10 as x^{...}."""
  at = text.find('^(')
  while at >= 0:
    end = _closing(text, at + 1)
    if end < 0:
      break
    text = text[:at] + '^{' + text[at + 2 : end] + '}' + text[end + 1 :]
    at = text.find('^(', at + 1)
  return re.sub(r'\^\s*(-?\d+(?:\.\d+)?)', r'^{\1}', text)


def _repeating(match) -> str:
  whole, head, tail = match.groups()
  value = int(whole + head + tail or 0) - int(whole + head or 0)
  return f'\\frac{{{value}}}{{{"9" * len(tail)}{"0" * len(head)}}}'
