r"""LaTeX in text: what is a formula, what is money, and that nothing of a model gets into a page but MathML."""

from xml.etree import ElementTree

import pytest

from vibethinker_jax.eval.pages import formulas

pytest.importorskip('latex2mathml')


@pytest.mark.parametrize(
  'text, found',
  [
    ('so $x^2$ is', ['so ', ('x^2', False, '$x^2$'), ' is']),
    (r'a \[ x \] b \(y\)', ['a ', ('x', True, r'\[ x \]'), ' b ', ('y', False, r'\(y\)')]),
    ('$$x\n+1$$', [('x\n+1', True, '$$x\n+1$$')]),
    ('costs $5, $6 or $7.50.', ['costs $5, $6 or $7.50.']),
    (r'so \boxed{\frac{1}{2}}.', ['so ', (r'\boxed{\frac{1}{2}}', False, r'\boxed{\frac{1}{2}}'), '.']),
    (r'within \boxed{}.', [r'within \boxed{}.']),
    (r'\begin{align*}a&=b\end{align*}', [(r'\begin{align*}a&=b\end{align*}', True, r'\begin{align*}a&=b\end{align*}')]),
    ('nothing', ['nothing']),
    ('', []),
  ],
)
def test_split(text, found):
  assert formulas.split(text) == found
  assert ''.join(p if isinstance(p, str) else p[2] for p in found) == text


def test_fractions_roots_and_tables():
  made = formulas.mathml(r'\left(3,\frac{\pi}{\sqrt2}\right)')
  assert '<mfrac>' in made and '<msqrt>' in made and 'π' in made and 'display="inline"' in made
  assert '<mtable' in formulas.mathml(r'\begin{aligned}a&=b\\c&=d\end{aligned}', True)
  ElementTree.fromstring(made)


@pytest.mark.parametrize(
  'latex', [r'\frac{', r'\unknowncommand{3}', '{' * 3000, 'x^{' * 900 + '1' + '}' * 900, r'\left(']
)
def test_what_cannot_be_converted_stays(latex):
  assert formulas.mathml(latex) is None


@pytest.mark.parametrize(
  'latex',
  [
    r'\href{javascript:alert(1)}{x}',
    r'\text{<script>alert(1)</script>}',
    r'\style{color:red}{x}',
    r'\class{a}{x}',
    r'\text{<img src=x onerror=alert(1)>}',
    r'\color{red}{x}',
  ],
)
def test_nothing_but_mathml(latex):
  made = formulas.mathml(latex)
  for element in ElementTree.fromstring(made or '<math/>').iter():
    assert element.tag in formulas._TAGS and set(element.attrib) <= formulas._ATTRIBUTES
  assert '<script' not in (made or '') and '<img' not in (made or '')


def test_without_the_library(monkeypatch):
  formulas.mathml.cache_clear()
  monkeypatch.setattr(formulas, 'converter', None)
  assert formulas.mathml('x^2') is None
  formulas.mathml.cache_clear()
