"""Which verified traces of earlier checkpoints a student learns from (VibeThinker-3B §2.3).

Traces are compared by their learning potential only inside (domain, length bucket): long traces are more predictable
per token than short ones and code more than prose, so that one ranking over all would choose a domain and a length.
"""

import collections
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np

from vibethinker_jax.config import Count, Positive, Range, Share, bind

KEPT = 'kept'
REASONS = ('outlier', 'low_potential', 'high_potential', 'per_problem', 'over_cap')


class SelectionOptions(NamedTuple):
  """Which ranks are kept. A rank is a quantile in [0, 1], 0 the lowest potential of its (domain, length bucket).

  Attributes:
    length_bounds: ascending tokens; a new length bucket begins at each of them, () is one bucket.
    outlier_quantile: so much is cut off at each end of a bucket before the rest is ranked; a bucket of at most
      1 / (2 outlier_quantile) traces loses none.
    low_quantile, high_quantile: the range to keep, ends included.
    per_problem: at most so many traces of a problem, those of the highest rank; 0 is no limit.
  """

  length_bounds: tuple[Positive, ...] = ()
  outlier_quantile: Annotated[float, Range(ge=0, lt=0.5)] = 0.01
  low_quantile: Share = 0.3
  high_quantile: Share = 0.95
  per_problem: Count = 4

  def conflicts(self):
    if list(self.length_bounds) != sorted(set(self.length_bounds)):
      yield f'length_bounds={self.length_bounds} must ascend'
    if self.low_quantile >= self.high_quantile:
      yield f'low_quantile={self.low_quantile} must be less than high_quantile={self.high_quantile}'


def quantiles(scores: np.ndarray) -> np.ndarray:
  """The rank of each score among all, (below + equal / 2) / n: [3., 1., 2., 2.] -> [.875, .125, .5, .5]."""
  ordered = np.sort(scores)
  below, upto = (np.searchsorted(ordered, scores, side) for side in ('left', 'right'))
  return (below + upto) / (2 * max(1, len(scores)))


def select(
  domains: Sequence[str], problems: Sequence[str], lengths, scores, options: SelectionOptions, caps: dict[str, int]
) -> list[str]:
  """KEPT or one of REASONS for each trace; the same whatever the order of the traces, up to equal scores.

  Args:
    domains, problems: names; problems of different domains are different.
    lengths: response tokens. scores: learning potentials, -(1 / |y|) sum_t log pi_student(y_t).
    caps: at most so many traces of a domain; one without an entry, or with 0, has no cap. What goes over it are second,
      third, ... traces of a problem first, and of those of one kind the lower ranks.

  Raises:
    ValueError: quantiles or bounds out of order, or a score that is not finite.
  """
  bind(SelectionOptions, options._asdict(), 'select')
  lengths, scores = np.asarray(lengths), np.asarray(scores, float)
  if not np.isfinite(scores).all():
    raise ValueError(f'{(~np.isfinite(scores)).sum()} of {len(scores)} scores are not finite: the student is broken')
  verdicts, rank = np.full(len(scores), KEPT, object), np.zeros(len(scores))
  buckets = collections.defaultdict(list)
  for i, bucket in enumerate(np.searchsorted(options.length_bounds, lengths, 'right')):
    buckets[domains[i], bucket].append(i)
  for members in map(np.array, buckets.values()):
    first = quantiles(scores[members])
    inside = (first >= options.outlier_quantile) & (first <= 1 - options.outlier_quantile)
    verdicts[members[~inside]] = 'outlier'
    rest = members[inside]
    rank[rest] = quantiles(scores[rest])
    verdicts[rest[rank[rest] < options.low_quantile]] = 'low_potential'
    verdicts[rest[rank[rest] > options.high_quantile]] = 'high_potential'

  kept = np.flatnonzero(verdicts == KEPT)
  seen, places = collections.Counter(), []
  for i in kept[np.argsort(-rank[kept], kind='stable')]:
    place = seen[domains[i], problems[i]]  # 0: the problem's highest rank
    seen[domains[i], problems[i]] += 1
    if options.per_problem and place >= options.per_problem:
      verdicts[i] = 'per_problem'
    else:
      places.append((place, i))
  taken = collections.Counter()
  for _, i in sorted(places, key=lambda pair: pair[0]):  # stable: inside a place the ranks go down
    taken[domains[i]] += 1
    if 0 < caps.get(domains[i], 0) < taken[domains[i]]:
      verdicts[i] = 'over_cap'
  return verdicts.tolist()
