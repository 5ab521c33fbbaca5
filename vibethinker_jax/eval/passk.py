"""Unbiased Pass@K and intervals over problems."""

import numpy as np
import scipy.stats


def pass_at_k(n, c, k):
  """`1 - C(n - c, k) / C(n, k)`, the unbiased estimate of Pass@K from n samples of which c are correct.

  Args:
    n, c: arrays (or numbers) of samples and correct samples per problem. k: 1 <= k <= n.

  Returns:
    float64 array of the broadcast shape. Source: Chen et al. 2021 (HumanEval), equation 1.

  Raises:
    ValueError: k < 1, k > n or c outside [0, n].
  """
  n, c, k = np.broadcast_arrays(np.asarray(n), np.asarray(c), np.asarray(k))
  if (k < 1).any() or (k > n).any() or (c < 0).any() or (c > n).any():
    raise ValueError(
      f'pass@k needs 1 <= k <= n and 0 <= c <= n; got n={n.min()}..{n.max()}, c={c.min()}..{c.max()}, '
      f'k={k.min()}..{k.max()}'
    )
  # prod_{i = n - c + 1 .. n} (1 - k / i), as a product over i = 0 .. k - 1 of (n - c - i) / (n - i).
  i = np.arange(int(k.max()) if k.size else 0)
  factors = (n[..., None] - c[..., None] - i) / np.maximum(n[..., None] - i, 1)
  factors = np.where(i < k[..., None], np.clip(factors, 0.0, None), 1.0)
  return 1.0 - np.prod(factors, axis=-1)


def interval(values_P, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
  """Percentile bootstrap interval of the mean over problems (the problems are resampled, not the samples).

  Widened for small sets (Hesterberg 2015, "expanded percentile": Student's quantile, and n - 1 instead of n): of plain
  percentile intervals of 95% for 30 problems 92 to 94% hold the truth in simulations, of these 93 to 96%.
  """
  values = np.asarray(values_P, float)
  n = len(values)
  if n < 2 or np.ptp(values) == 0:
    return float(values.mean()), float(values.mean())
  widened = 1 - 2 * scipy.stats.norm.cdf(scipy.stats.t.ppf((1 - confidence) / 2, n - 1) * np.sqrt(n / (n - 1)))
  result = scipy.stats.bootstrap(
    (values,),
    np.mean,
    confidence_level=widened,
    n_resamples=resamples,
    batch=200,
    method='percentile',
    rng=np.random.default_rng(seed),
  )
  return float(result.confidence_interval.low), float(result.confidence_interval.high)


def summary(correct_Pn, ks=(1,)) -> dict:
  """{'pass@1', 'ci95', 'pass@k': {k: x}, 'pass@k_ci95': {k: [lo, hi]}, 'problems', 'samples'} of bool [P, n]."""
  correct = np.asarray(correct_Pn)
  n, c = correct.shape[1], correct.sum(axis=1)
  curves = {k: pass_at_k(n, c, k) for k in ks if k <= n}
  return {
    'pass@1': float(correct.mean()),
    'ci95': list(interval(correct.mean(axis=1))),
    'pass@k': {str(k): float(v.mean()) for k, v in curves.items()},
    'pass@k_ci95': {str(k): list(interval(v)) for k, v in curves.items()},
    'problems': int(correct.shape[0]),
    'samples': int(n),
  }
