"""Pass@K against the enumeration of all subsets; intervals against simulations."""

import itertools

import numpy as np
import pytest

from vibethinker_jax.eval.passk import interval, pass_at_k, summary


def enumerated(n, c, k):
  """The share of k-subsets of n samples that hold one of the c correct ones."""
  subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
  return sum(map(any, subsets)) / len(subsets)


def test_against_enumeration():
  cases = [(n, c, k) for n in range(1, 9) for c in range(n + 1) for k in range(1, n + 1)]
  n, c, k = np.array(cases).T
  found = pass_at_k(n, c, k)
  assert found.dtype == np.float64
  np.testing.assert_allclose(found, [enumerated(*case) for case in cases], atol=1e-12)


def test_scalars_broadcasting_and_exact_ends():
  assert pass_at_k(4, 2, 1) == 0.5 and np.shape(pass_at_k(4, 2, 1)) == ()
  assert pass_at_k(8, [0, 8, 1], 8).tolist() == [0.0, 1.0, 1.0]
  assert pass_at_k([[4], [8]], [0, 1, 2], 2).shape == (2, 3)
  assert pass_at_k([], [], 1).shape == (0,)


def test_large_n_does_not_overflow():
  np.testing.assert_allclose(pass_at_k(100_000, 1, 50_000), 0.5, rtol=1e-9)
  found = pass_at_k(1024, np.arange(0, 1025, 64), 512)
  assert np.isfinite(found).all() and (np.diff(found) >= 0).all() and found[-1] == 1


def test_unbiased():
  """The mean over draws of c ~ Binomial(n, p) is 1 - (1 - p)^k."""
  c = np.random.default_rng(0).binomial(8, 0.3, 200_000)
  np.testing.assert_allclose(pass_at_k(8, c, 4).mean(), 1 - 0.7**4, atol=3e-3)


@pytest.mark.parametrize('n, c, k', [(4, 2, 0), (4, 2, 5), (4, 5, 1), (4, -1, 1), ([4, 2], [1, 1], 3)])
def test_errors(n, c, k):
  with pytest.raises(ValueError, match='1 <= k <= n'):
    pass_at_k(n, c, k)


def test_interval_covers_the_truth():
  """80 problems of different difficulty, 4 samples each: about 95 of 100 intervals hold the true mean."""
  rng = np.random.default_rng(1)
  held = []
  for i in range(300):
    accuracy = rng.binomial(4, rng.beta(0.6, 1.0, 80)) / 4
    low, high = interval(accuracy, resamples=400, seed=i)
    assert low < accuracy.mean() < high
    held.append(low <= 0.375 <= high)
  assert 0.91 <= np.mean(held) <= 0.98


def test_interval_of_a_small_set_covers_the_truth():
  """8 problems: plain percentile intervals hold the truth in 91%."""
  rng, held = np.random.default_rng(2), []
  for i in range(600):
    low, high = interval(rng.binomial(8, rng.beta(0.6, 1.0, 8)) / 8, resamples=400, seed=i)
    held.append(low <= 0.375 <= high)
  assert 0.93 <= np.mean(held) <= 0.975


def test_interval_of_problems_not_of_samples():
  """Samples of one problem are not independent: 1000 of them do not narrow the interval of 10 problems."""
  correct = np.repeat(np.arange(10)[:, None] < 5, 1000, axis=1)
  low, high = summary(correct)['ci95']
  assert high - low > 0.4


def test_interval_is_deterministic_and_narrower_at_lower_confidence():
  values = np.random.default_rng(2).random(50)
  assert interval(values) == interval(values)
  low, high = interval(values, confidence=0.5)
  assert interval(values)[0] < low < high < interval(values)[1]
  assert interval([0.25]) == (0.25, 0.25) and interval([1.0, 1.0, 1.0]) == (1.0, 1.0)


def test_summary():
  correct = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
  found = summary(correct, (1, 2, 4, 8))
  assert found['pass@1'] == 0.5 and (found['problems'], found['samples']) == (3, 4)
  assert found['pass@k'].keys() == {'1', '2', '4'}  # 8 samples there are not
  np.testing.assert_allclose([found['pass@k'][k] for k in '124'], [0.5, (5 / 6 + 1) / 3, 2 / 3])
  assert found['pass@k_ci95']['1'] == found['ci95']
