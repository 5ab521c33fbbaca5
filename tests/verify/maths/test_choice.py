import gzip
import json
import os

import pytest

from vibethinker_jax.verify import response
from vibethinker_jax.verify.maths import answers, choice, extract
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.verdict import EQUAL, Verdict

CHOICES = ['$3$ m', '$5$ m', '\\frac{1}{2}', 'the force is zero']
DATA = os.environ.get('VIBETHINKER_DATA', '')


def judged(response, gold, choices):
  return choice.judge(extract.answer_of(parse(response)), gold, choices)


@pytest.mark.parametrize(
  'answer, letter',
  [
    ('B', 'B'),
    ('b', 'B'),
    ('(B)', 'B'),
    ('B.', 'B'),
    ('B)', 'B'),
    ('\\text{B}', 'B'),
    ('\\textbf{(B)}', 'B'),
    ('\\mathbf{B}', 'B'),
    ('Option B', 'B'),
    ('B) 5 m', 'B'),
    ('\\text{B. } 5\\text{ m}', 'B'),
    ('5 m', 'B'),
    ('0.5', None),
    ('\\dfrac12', 'C'),
    ('The force is zero.', 'D'),
    ('D: the force is zero', 'D'),
    ('E', None),
    ('A, B', None),
    ('A or B', None),
    ('AB', None),
    ('B. 3 m', None),
    ('not B', None),
    ('B (or C)', None),
    ('', None),
    ('7', None),
    ('A: B', None),
    ('B B', None),
    ('A)(B', None),
    ('B\\text{ or }C', None),
  ],
)
def test_letter(answer, letter):
  assert choice.letter_of(answer, CHOICES) == letter
  expected = 'equal' if letter == 'B' else 'different' if answer else 'no_answer'
  assert judged(f'<think>A</think>\\boxed{{{answer}}}', 'B', CHOICES).reason == expected


def test_options_that_differ_in_their_unit():
  options = ['3 m', '3 cm', '4 m']
  assert [choice.letter_of(a, options) for a in ('3 m', '3\\text{ cm}', '4', '3')] == ['A', 'B', 'C', None]


def test_a_letter_that_is_an_options_text_names_two():
  assert choice.letter_of('C', ['C', 'A', 'B']) is None
  assert choice.letter_of('C', ['A', 'B', 'C']) == 'C'


@pytest.mark.parametrize(
  'text',
  ['B', 'The answer is B', '\\boxed{A} \\boxed{B}', '<think>\\boxed{B}</think>', '\\boxed{B} </think> \\boxed{A}'],
)
def test_no_or_another_box(text):
  assert judged(text, 'B', CHOICES).status == 'wrong'


@pytest.mark.parametrize('gold', ['E', '', '5 m', 'AB', '1'])
def test_gold_must_be_a_letter(gold):
  with pytest.raises(ValueError, match="'ABCD'"):
    judged('\\boxed{A}', gold, CHOICES)


def test_rows_with_choices_and_without():
  row = {'answer': 'B', 'choices': CHOICES}
  assert response.verify('\\boxed{5\\text{ m}}', row) == Verdict('correct', 'equal')
  with Pool(workers=1) as pool:
    assert pool.verify([('\\boxed{(B)}', row), ('\\boxed{C}', row)]) == [
      Verdict('correct', 'equal'),
      Verdict('wrong', 'different'),
    ]
    assert pool.stats.fast == 2
  for answer in ('B', '(B)', '\\text{B}', '\\textbf{(B)}', 'B.'):
    assert answers.fast_answer(answer, 'B') == EQUAL and answers.fast_answer(answer, '(B)') == EQUAL
  for answer in ('A', 'AB', 'A,B', 'b', '\\text{A or B}'):
    assert answers.fast_answer(answer, 'B') != EQUAL, answer


@pytest.mark.skipif(not DATA, reason='VIBETHINKER_DATA names no folder of data sets')
def test_each_option_of_a_data_set_is_recognised_by_letter_and_by_text():
  with gzip.open(f'{DATA}/mmlu_math_stats.jsonl.gz', 'rt') as f:
    rows = [json.loads(line) for line in f]
  by_text = total = 0
  for row in rows:
    for i, text in enumerate(row['choices']):
      letter = 'ABCDEFGHIJ'[i]
      right = letter == row['answer']
      assert (judged(f'\\boxed{{{letter}}}', row['answer'], row['choices']).status == 'correct') == right, row
      if extract.usable(text) and text.count('{') == text.count('}'):
        verdict = judged(f'\\boxed{{{text}}}', row['answer'], row['choices'])
        assert verdict.status == 'wrong' or right, (text, row)
        total, by_text = total + right, by_text + (right and verdict.status == 'correct')
  assert by_text > 0.97 * total
