import time

import pytest

from vibethinker_jax.verify.maths import extract
from vibethinker_jax.verify.maths.normal import normalise
from vibethinker_jax.verify.parts import parse

BLOCK = '```python\nprint(5)\n```'


@pytest.mark.parametrize(
  'response, answer',
  [
    ('<think>6*7</think>The answer is \\boxed{42}.', '42'),
    ('6*7</think>The answer is \\boxed{42}.', '42'),  # '<think>' stood in the prompt
    ('no tags \\boxed{42}', '42'),
    ('<think>\\boxed{1}</think>\\boxed{42}', '42'),
    ('<think>x</think>So \\boxed{42}. Final answer: \\boxed{ 42 }', '42'),
    ('<think>x</think>\\boxed{\\frac{1}{2}} and \\boxed{\\dfrac12}', '\\dfrac12'),
    ('<think>x</think>\\boxed{\\frac{\\sqrt{3}}{2}}', '\\frac{\\sqrt{3}}{2}'),
    ('<think>x</think>\\boxed{\\{1,2\\}}', '\\{1,2\\}'),
    ('<think>x</think>\\fbox{3}', '3'),
    ('I will put it in \\boxed{}. So \\boxed{42}', '42'),
  ],
)
def test_answer_found(response, answer):
  assert extract.answer_of(parse(response)) == answer


@pytest.mark.parametrize(
  'response',
  [
    '',
    'the answer is 42',
    '<think>\\boxed{42}',
    '<think>\\boxed{42}</think>I do not know',
    '<think>x</think>\\boxed{16}</think>\\boxed{17}',
    '<think>x</think></think>\\boxed{17}',
    '<think>a</think>b<think>c \\boxed{1}',
    '<think>x</think>\\boxed{15}\n\\boxed{16} \\boxed{17}',
    '<think>x</think>\\boxed{17}\\boxed{}',
    '<think>x</think>\\boxed{17',
    '<think>x</think>\\boxed{1} \\boxed{1',
    '<think>x</think>\\boxed{}',
    '<think>x</think>\\boxed{ }',
    '\\boxed{' + '1' * 401 + '}',
    '\\boxed{' + '(' * 31 + '1' + ')' * 31 + '}',
    '\\boxed{٥}',
    '\\boxed{1\u200b7}',
  ],
)
def test_no_usable_answer(response):
  assert extract.answer_of(parse(response)) is None


def test_caps_are_inclusive():
  assert extract.answer_of(parse('\\boxed{' + '1' * 400 + '}')) == '1' * 400
  assert extract.answer_of(parse('\\boxed{' + '(' * 30 + '1' + ')' * 30 + '}')) is not None


@pytest.mark.parametrize(
  'response, source',
  [
    (f'<think>x</think>\n{BLOCK}', 'print(5)\n'),
    (f'<think>{BLOCK}</think>text\n```py\nprint(6)\n```\nbye', 'print(6)\n'),
    (f'<think>x</think>{BLOCK}\n```python\nprint(7)\n```', 'print(7)\n'),
    (f'<think>x</think>{BLOCK}\n```text\n5\n```', 'print(5)\n'),
    ('```Python3\nprint("```")\n```', 'print("```")\n'),
  ],
)
def test_code_found(response, source):
  if response.startswith('<think>x</think>```'):
    response = response.replace('</think>', '</think>\n')
  assert parse(response).program == source


@pytest.mark.parametrize(
  'response',
  [
    '',
    'print(5)',
    '<think>x</think>a, b = 1, 2\nprint(a)',
    f'<think>{BLOCK}</think>done',
    f'<think>{BLOCK}',
    '<think>x</think>\n```python\nprint(5)',
    f'<think>x</think>\n{BLOCK}\n```python\nprint(6)',
    '```text\n5\n```',
  ],
)
def test_no_code(response):
  assert parse(response).program is None


@pytest.mark.parametrize(
  'a, b',
  [
    ('\\dfrac{1}{2}', '\\frac12'),
    ('1,000', '1000'),
    ('1{,}000', '1000'),
    ('5\\text{ cm}', '5'),
    ('5\\text{ cm}^2', '5'),
    ('5\\ \\mathrm{cm}^3', '5'),
    ('90^\\circ', '90'),
    ('90\\text{ degrees}', '90'),
    ('\\$5', '5'),
    ('$x+1$', 'x + 1'),
    ('\\left(1,2\\right)', '(1, 2)'),
    ('12,', '12'),
    ('\\text{East}', '\\text{east}'),
    ('\\text{Evelyn}', 'Evelyn'),
    ('2\\sqrt3', '2\\sqrt{3}'),
    ('x^{2}', 'x^2'),
    ('2π', '2\\pi'),
    ('\\boxed{5}', '5'),
    ('50\\%', '50%'),
  ],
)
def test_same_form(a, b):
  assert normalise(a) == normalise(b)


@pytest.mark.parametrize(
  'a, b',
  [
    ('(1,2)', '[1,2]'),
    ('C', 'A'),
    ('C', 'c'),
    ('1,2', '12'),
    ('\\frac{1}{12}', '\\frac{11}{2}'),
    ('x_1', 'x^1'),
    ('\\text{even}', '\\text{odd}'),
    ('5\\text{ or 6}', '5'),
    ('5 \\text{ (or maybe 6)}', '5'),
    ('\\pi r', '\\pir'),
    ('17th', '17'),
    ('5m', '5'),
  ],
)
def test_other_form(a, b):
  assert normalise(a) != normalise(b)


def test_hostile_text_takes_linear_time():
  start = time.monotonic()
  for text in (
    '\\boxed{' * 30_000,
    '\\boxed ' * 50_000,
    '```' * 50_000,
    '\n```python' * 30_000,
    ' \t' * 100_000 + '`',
    ''.join(f'\\boxed{{{i}}}' for i in range(20_000)),
    '\\boxed{' + '\\text{' + ' ' * 390 + '}',
  ):
    assert extract.answer_of(parse(text)) is None
    assert parse(text).program is None
  assert time.monotonic() - start < 3.0
