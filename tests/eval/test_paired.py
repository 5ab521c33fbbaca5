import math

import numpy as np
import pytest
from scipy import stats

from vibethinker_jax.eval import paired


def test_difference_is_the_paired_t_test():
  a, b = np.random.default_rng(0).normal([[0.3], [0.0]], 1, (2, 9))
  found = paired.of_differences(a - b)
  reference = stats.ttest_rel(a, b)
  low, high = reference.confidence_interval(0.95)
  assert found.p == pytest.approx(reference.pvalue) and found.n == 9
  assert (found.mean, found.low, found.high) == pytest.approx(((a - b).mean(), low, high))


def test_margin_moves_what_is_tested():
  values = [-0.01, 0.0, -0.02, -0.01]
  assert paired.of_differences(values, 0.05).p == pytest.approx(stats.ttest_1samp(values, -0.05).pvalue)


@pytest.mark.parametrize(('n', 'alpha'), [(8, 0.05), (8, 0.05 / 19), (5, 0.01), (3, 0.05 / 6), (2, 0.05)])
def test_the_visible_effect_is_seen_four_times_in_five(n, alpha):
  """By simulation: differences whose true mean is the effect that n pairs of this spread show."""
  random, deviation, draws = np.random.default_rng(1), 2.0, 40_000
  effect = paired.detectable(n, alpha) * deviation / math.sqrt(n)
  samples = random.normal(effect, deviation, (draws, n))
  assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < alpha) == pytest.approx(0.8, abs=0.01)
  one = paired.of_differences(samples[0], alpha=alpha)
  assert one.visible == pytest.approx(effect * samples[0].std(ddof=1) / deviation)


@pytest.mark.parametrize(('values', 'p'), [([0.1, 0.1, 0.1], 0.25), ([0.0, 0.0], 1.0), ([0.2], 1.0), ([], 1.0)])
def test_no_spread_and_too_few(values, p):
  assert paired.of_differences(values).p == p


def test_holm_against_its_definition():
  ps = [0.01, 0.04, 0.03, 0.005]
  assert paired.holm(ps) == pytest.approx([0.03, 0.06, 0.06, 0.02])
  assert paired.holm([0.9, 0.6]) == [1.0, 1.0] and paired.holm([]) == []


def test_correlation():
  x, y = np.random.default_rng(2).normal(size=(2, 12))
  assert paired.correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
  assert paired.correlation([1, 1, 1], [1, 2, 3]) == 0.0


@pytest.mark.parametrize(
  ('mean', 'p', 'margin', 'told'),
  [
    (0.1, 0.01, 0.0, 'supported'),
    (-0.1, 0.01, 0.0, 'refuted'),
    (0.1, 0.05, 0.0, 'undecided'),
    (-0.01, 0.01, 0.05, 'supported'),
    (0.1, float('nan'), 0.0, 'undecided'),
  ],
)
def test_verdict(mean, p, margin, told):
  found = paired.Difference(mean, mean, mean, p, 8, 0.0)
  assert paired.verdict(found, p, 0.05, margin) == told
