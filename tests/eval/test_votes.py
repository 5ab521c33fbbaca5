"""cons@n against hand-made cases, with the verifier's equality."""

import itertools

import pytest

from vibethinker_jax.eval import votes
from vibethinker_jax.verify.pool import Pool

plain = lambda a, b: a == b


@pytest.fixture(scope='module')
def pool():
  with Pool(workers=1) as made:
    yield made


@pytest.mark.parametrize(
  'ballots, expected',
  [
    ([('4', True), ('4', True), ('5', False)], 1.0),
    ([('4', True), ('5', False), ('5', False)], 0.0),
    ([('4', True), ('5', False)], 0.5),  # a tie is split
    ([('4', True), ('5', False), ('6', False)], 1 / 3),
    ([('5', False), ('6', False)], 0.0),
    ([('4', True), (None, False), (None, False)], 1.0),  # no answer abstains
    ([(None, False)], 0.0),
    ([], 0.0),
    ([('8/2', True), ('4', True), ('5', False), ('5', False), ('6', False)], 0.5),
  ],
)  # right ones are one answer
def test_by_hand(ballots, expected):
  for order in itertools.islice(itertools.permutations(ballots), 24):
    assert votes.cons(list(order), plain) == pytest.approx(expected)


def test_equal_answers_are_one(pool):
  row = {'answer': '7', 'id': 'a'}
  same = votes.same_by(pool, row)
  answers = ['\\frac{1}{2}', '0.5', '(x+1)^2', 'x^2+2x+1', '3', '1/2']
  assert votes.groups(answers, same) == [[0, 1, 5], [2, 3], [4]]
  wrong = [(text, False) for text in answers]
  assert votes.cons(wrong + [('7', True)] * 3, same) == 0.5  # three halves, three sevens
  assert votes.cons_of([wrong + [('7', True)] * 4, wrong], [row, row], pool) == [1.0, 0.0]


def test_multiple_choice_votes_by_letter(pool):
  row = {'answer': 'B', 'choices': ['3 m', '5 m']}
  said = {'\\boxed{(b)}': 'B', '\\boxed{5\\text{ m}}': 'B', '\\boxed{A}': 'A', '\\boxed{7}': None, 'B': None}
  assert {text: votes.answer(text, row) for text in said} == said
  assert not votes.same_by(pool, row)('A', 'B')


def test_an_answer_is_the_box():
  assert votes.answer('<think>\\boxed{1}</think>so \\boxed{ 42 }', {}) == '42'
  assert votes.answer('\\boxed{1}, but then \\boxed{2}', {}) is None
  assert votes.answer('x=\\boxed{1} or x=\\boxed{2}', {}) == '1, 2'  # the parts of one answer
