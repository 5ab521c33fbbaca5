"""Builtin rewards, and their sum."""

import pytest

from vibethinker_jax.eval import rewards
from vibethinker_jax.verify.verdict import Verdict

ROW = {'id': 'a', 'answer': '42'}


@pytest.mark.parametrize(
  'text, value',
  [
    ('<think>x</think>\\boxed{42}', 1),
    ('x</think>so \\boxed{1}', 1),  # '<think>' stands in the prompt
    ('\\boxed{42}', 0),
    ('<think>x</think>42', 0),
    ('<think>x</think>\\boxed{1} \\boxed{2}', 0),
    ('<think>\\boxed{1}</think>\\boxed{2}', 1),
    ('<think>x</think>y</think>\\boxed{1}', 0),
    ('<think>x<think>y</think>\\boxed{1}', 0),
    ('first <think>x</think>\\boxed{1}', 0),
    ('<think>x</think>\\boxed{1', 0),
  ],
)
def test_format(text, value):
  assert rewards.answer_format(text, {}) == value


@pytest.mark.parametrize('tokens, value', [(1, 0), (80, 0), (90, -0.5), (100, -1), (None, 0)])
def test_overlong(tokens, value):
  assert rewards.overlong('', {rewards.TOKENS: tokens, rewards.LIMIT: 100}) == pytest.approx(value)


def test_repetition():
  assert rewards.repetition('one two three', {}) == 0 and rewards.repetition('so it is ' * 100, {}) == -1


def test_the_sum():
  with rewards.Rewards((('answer', 1.0), ('format', 0.25)), workers=1) as both:
    found = [both.submit(text, ROW).result() for text in ('<think>x</think>\\boxed{42}', '\\boxed{42}', 'x')]
  assert found == [
    Verdict('correct', 'equal', 1.25, {'answer': 1.0, 'format': 1.0}),
    Verdict('correct', 'equal', 1.0, {'answer': 1.0, 'format': 0.0}),
    Verdict('wrong', 'no_answer', 0.0, {'answer': 0.0, 'format': 0.0}),
  ]


def test_without_a_verdict_the_sum_decides():
  with rewards.Rewards((('format', 0.5), ('repetition', 1.0)), correct_at=0.5, workers=1) as both:
    assert both.submit('x</think>\\boxed{1}', ROW).result().status == 'correct'
    assert both.submit('\\boxed{1}', ROW).result().status == 'wrong'
