"""Numbers of a set by hand and by enumeration; paired differences against a simulation."""

import itertools

import numpy as np
import pytest

from vibethinker_jax.eval import scores
from vibethinker_jax.eval.scores import Judged

ROWS = [{'id': name, 'subject': subject} for name, subject in zip('abcd', 'xxyy')]
LETTERS = {
  'c': ('correct', 'equal'),
  'w': ('wrong', 'different'),
  'n': ('wrong', 'no_answer'),
  'i': ('invalid', 'fault'),
}


def judged(letters: str, tokens: int = 10) -> list[Judged]:
  return [Judged(g, 'text', *LETTERS[c], '1', tokens + g, g == 3) for g, c in enumerate(letters)]


def of_set(*letters, cons=(1.0, 0.5, 0.0, None)):
  return scores.of_set(ROWS, [judged(x) for x in letters], list(cons))


def test_by_hand():
  found = of_set('cccc', 'ccww', 'wnww', 'iiii')
  assert found['avg']['value'] == pytest.approx(0.5) and found['avg']['problems'] == 3
  assert found['invalid'] == {'responses': 4, 'problems': 1, 'reasons': {'fault': 4}}
  assert found['reasons'] == {'different': 5, 'equal': 6, 'no_answer': 1}
  assert found['cut_off'] == 0.25 and found['tokens']['mean'] == 11.5 and found['tokens']['quantiles']['100'] == 13
  assert found['tokens_correct']['mean'] == pytest.approx((10 + 11 + 12 + 13 + 10 + 11) / 6, abs=0.01)
  assert found['cons']['value'] == 0.5 and found['per_problem'][3]['avg'] is None
  assert {name: s['value'] for name, s in found['subjects'].items()} == {'x': 0.75, 'y': 0.0}
  assert [p['correct'] for p in found['per_problem']] == [4, 2, 0, 0]


def test_invalid_responses_count_nowhere():
  """Half of b's responses have no verdict: its score is that of the others."""
  assert of_set('cccc', 'cwii', 'wwww', 'wwww')['avg']['value'] == pytest.approx((1 + 0.5) / 4)
  assert of_set('cccc', 'cwii', 'wwww', 'wwww')['per_problem'][1]['avg'] == 0.5


def test_curve_is_the_enumeration_over_valid_responses():
  letters = ['ccww', 'cwwi', 'wwww', 'cwii']
  found = of_set(*letters)['pass@k']
  assert list(found) == ['1', '2', '4']
  for k in (1, 2, 4):
    values = []
    for text in letters:
      valid = text.replace('i', '')
      if len(valid) >= k:
        draws = list(itertools.combinations(valid, k))
        values.append(sum('c' in d for d in draws) / len(draws))
    assert found[str(k)]['value'] == pytest.approx(np.mean(values)) and found[str(k)]['problems'] == len(values)


def test_curve_ends_at_n():
  assert list(scores.curve([6, 6], [1, 2])) == ['1', '2', '4', '6']
  assert scores.curve([], []) == {}


def test_without_some_problems():
  found = scores.without(of_set('cccc', 'ccww', 'wwww', 'iiii'), {'a', 'd'})
  assert found['with']['value'] == 0.5 and found['only'] == {'value': 1.0, 'ci95': [0.025, 1.0], 'problems': 1}
  assert found['without']['value'] == 0.25 and found['without']['problems'] == 2
  assert scores.without(of_set('cccc', 'ccww', 'wwww', 'iiii'), set())['only']['value'] is None


def test_nothing_solved_is_not_certain():
  """A model that solves 1 of 40 problems is often seen to solve none of 30."""
  low, high = scores.mean_with_interval([0.0] * 30)['ci95']
  assert low == 0 and (1 - high) ** 30 == pytest.approx(0.025)
  assert scores.mean_with_interval([1.0] * 30)['ci95'] == pytest.approx([1 - high, 1.0])
  assert scores.difference(of_set('cc', 'cc', 'ww', 'ww'), of_set('cc', 'cc', 'ww', 'ww'))['ci95'] == [0.0, 0.0]


def test_difference_is_paired():
  a, b = of_set('cccc', 'ccww', 'wwww', 'iiii'), of_set('cccc', 'cccw', 'cwww', 'cccc')
  found = scores.difference(a, b)
  assert found['value'] == pytest.approx(0.5 / 3)
  assert [found[name] for name in ('problems', 'better', 'worse', 'equal')] == [3, 2, 0, 1]
  assert scores.difference(b, a)['value'] == pytest.approx(-0.5 / 3)


def test_interval_of_differences_covers_and_is_narrower():
  """Two models on problems of very different difficulty: the pairs know more than the scores do."""
  rng, held, widths = np.random.default_rng(0), [], []
  rows = [{'id': str(i), 'subject': ''} for i in range(60)]
  table = lambda p: {
    'per_problem': [{'id': row['id'], 'avg': float(v)} for row, v in zip(rows, rng.binomial(8, p) / 8)]
  }
  for _ in range(150):
    p = rng.beta(0.5, 0.5, 60)
    found = scores.difference(table(p), table(np.clip(p + 0.1 * (p < 0.9), 0, 1)))
    held.append(found['ci95'][0] <= 0.1 * (p < 0.9).mean() <= found['ci95'][1])
    widths.append(found['ci95'][1] - found['ci95'][0])
  assert 0.9 <= np.mean(held) <= 1.0
  assert np.mean(widths) < 0.1  # each score's own interval is 0.18 wide
