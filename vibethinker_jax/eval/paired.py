"""Differences between arms of a study that are paired by seed, and what they say of a claim; no JAX."""

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

ROUNDING = 1e-12  # beside the mean: then all differences are equal
POWER = 0.8  # with which the smallest effect that could have been seen would have been seen


class Difference(NamedTuple):
  """Of paired values: their mean difference with its Student interval.

  Attributes:
    mean, low, high: the interval holds the mean with 95% where the differences are about normal.
    p: two-sided, that the mean is `-margin` (0 without one).
    n: pairs.
    visible: the smallest mean that n such pairs would have shown at the level alpha with the power POWER.
  """

  mean: float
  low: float
  high: float
  p: float
  n: int
  visible: float


def mean(values) -> tuple[float, float, float]:
  """(mean, low, high): the 95% Student interval of a mean; nan bounds of fewer than two values."""
  values = np.asarray(values, float)
  centre = float(values.mean()) if len(values) else math.nan
  if len(values) < 2:
    return centre, math.nan, math.nan
  half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
  return centre, centre - half, centre + half


def of_differences(differences, margin: float = 0.0, alpha: float = 0.05) -> Difference:
  """Of the differences of pairs.

  Args:
    margin: what is tested is whether the mean is above -margin, not above 0.
    alpha: the level for `visible`, such as 0.05 over the number of claims.
  """
  values = np.asarray(differences, float)
  n = len(values)
  centre, low, high = mean(values)
  if n < 2:
    return Difference(centre, low, high, 1.0, n, math.inf)
  error = float(values.std(ddof=1)) / math.sqrt(n)
  if error <= ROUNDING * abs(centre):
    p = 2.0 ** (1 - n) if centre + margin else 1.0  # the sign test: all on one side
  else:
    p = float(2 * stats.t.sf(abs(centre + margin) / error, n - 1))
  return Difference(centre, low, high, p, n, detectable(n, alpha) * error)


def detectable(n: int, alpha: float) -> float:
  """The mean of n differences that a two-sided t test finds with the power POWER, in standard errors of the mean.

  The power is the mean over the chi-squared distribution of the variance: SciPy's noncentral t is off at 1 and 2
  degrees of freedom.
  """
  critical = stats.t.ppf(1 - alpha / 2, n - 1)
  spread = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, n - 1) / (n - 1))
  return float(optimize.brentq(lambda d: stats.norm.sf(critical * spread - d).mean() - POWER, 0, 4 * critical))


def holm(ps: list[float]) -> list[float]:
  """p values corrected for their number (Holm 1979): each is compared with the level of the whole family."""
  order, corrected, highest = np.argsort(ps), [1.0] * len(ps), 0.0
  for rank, i in enumerate(order):
    highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
    corrected[i] = highest
  return corrected


def correlation(xs, ys) -> float:
  """Pearson's r; 0 where one of them does not vary."""
  x, y = (np.asarray(v, float) - np.mean(v) for v in (xs, ys))
  scale = math.sqrt(float((x * x).sum() * (y * y).sum()))
  return float((x * y).sum() / scale) if scale else 0.0


def verdict(found: Difference, p: float, alpha: float, margin: float = 0.0) -> str:
  """'supported', 'refuted' or 'undecided' of a claim that the mean is above -margin; p is corrected."""
  if not p < alpha:
    return 'undecided'
  return 'supported' if found.mean > -margin else 'refuted'
