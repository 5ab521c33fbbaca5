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


def test_the_visible_effect_is_seen_four_times_in_five():
  """By simulation: differences whose true mean is the effect that n pairs of this spread show."""
  random, n, deviation = np.random.default_rng(1), 8, 2.0
  quantiles = stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)
  samples = random.normal(quantiles * deviation / math.sqrt(n), deviation, (4000, n))
  seen = np.mean([paired.of_differences(x).p < 0.05 for x in samples])
  assert 0.76 < seen < 0.86
  one = paired.of_differences(samples[0])
  assert one.visible == pytest.approx(quantiles * samples[0].std(ddof=1) / math.sqrt(n))


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
