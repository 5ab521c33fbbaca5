"""Selection by learning potential, against cases made by hand."""

import collections

import numpy as np
import pytest

from vibethinker_jax.rl import selection
from vibethinker_jax.rl.selection import SelectionOptions, select

ALL = SelectionOptions(outlier_quantile=0.0, low_quantile=0.0, high_quantile=1.0, per_problem=0)


def run(scores, domains=None, problems=None, lengths=None, caps=None, **changes):
  n = len(scores)
  return select(
    domains or ['maths'] * n,
    problems or list(map(str, range(n))),
    lengths or [100] * n,
    scores,
    ALL._replace(**changes),
    caps or {},
  )


def kept(verdicts):
  return [i for i, verdict in enumerate(verdicts) if verdict == 'kept']


def test_quantiles():
  assert selection.quantiles(np.array([3.0, 1.0, 2.0, 2.0])).tolist() == [0.875, 0.125, 0.5, 0.5]
  assert selection.quantiles(np.array([7.0])).tolist() == [0.5]


def test_without_limits_everything_is_kept():
  assert run([0.3, 9.0, 0.0, 0.3]) == ['kept'] * 4


def test_the_range_and_why_the_others_go():
  # Ranks .1 .3 .5 .7 .9.
  assert run([1, 2, 3, 4, 5], low_quantile=0.3, high_quantile=0.8) == [
    'low_potential',
    'kept',
    'kept',
    'kept',
    'high_potential',
  ]


def test_outliers_go_first_and_do_not_count_as_ranks():
  scores = [0.001, *np.linspace(0.4, 0.6, 8), 50.0]
  # Ten ranks .05 ... .95: the ends are outliers; of the eight left .0625 ... .9375 the upper half.
  assert run(scores, outlier_quantile=0.06, low_quantile=0.5) == (
    ['outlier'] + ['low_potential'] * 4 + ['kept'] * 4 + ['outlier']
  )
  # Ranked with the outliers in, .15 ... .85 would all be inside.
  assert run(scores, outlier_quantile=0.06, low_quantile=0.1, high_quantile=0.9) == (
    ['outlier', 'low_potential'] + ['kept'] * 6 + ['high_potential', 'outlier']
  )
  assert 'outlier' not in run(scores, outlier_quantile=0.05)


def test_ranks_are_of_the_domain_and_the_length():
  """One ranking over all would keep the second half."""
  scores, lengths = [1, 2, 3, 4, 10, 20, 30, 40], [10, 10, 99, 99, 100, 100, 10, 10]
  domains = ['maths'] * 6 + ['code'] * 2
  found = lambda **more: kept(run(scores, domains=domains, lengths=lengths, low_quantile=0.5, **more))
  assert found(length_bounds=(100,)) == [2, 3, 5, 7]  # 100 belongs to the bucket that it begins
  assert found(length_bounds=(50, 100)) == [1, 3, 5, 7]
  assert found() == [3, 4, 5, 7]


def test_the_highest_ranks_of_a_problem():
  problems = ['a', 'a', 'b', 'a']
  assert run([1, 3, 2, 4], problems=problems, per_problem=2) == ['per_problem', 'kept', 'kept', 'kept']
  assert kept(run([1, 3, 2, 4], problems=problems, per_problem=1)) == [2, 3]
  # The rank decides, not the score: 0.2 leads its bucket of short traces, 5 is the last of its own.
  assert kept(
    run([0.1, 0.2, 5, 6], problems=['x', 'a', 'a', 'y'], lengths=[1, 1, 9, 9], length_bounds=(5,), per_problem=1)
  ) == [0, 1, 3]
  # A name that two domains share is two problems.
  assert kept(run([1, 2], domains=['maths', 'code'], problems=['a', 'a'], per_problem=1)) == [0, 1]


def test_a_cap_takes_every_problem_before_any_twice():
  problems = ['a', 'a', 'b', 'c']
  assert run([4, 3, 2, 1], problems=problems, caps={'maths': 3}) == ['kept', 'over_cap', 'kept', 'kept']
  assert run([4, 3, 2, 1], problems=problems, caps={'maths': 2}) == ['kept', 'over_cap', 'kept', 'over_cap']
  assert run([1, 2, 3, 4], domains=['maths', 'maths', 'code', 'code'], caps={'maths': 1, 'code': 0}) == [
    'over_cap',
    'kept',
    'kept',
    'kept',
  ]


def test_the_order_of_the_traces_does_not_matter():
  rng = np.random.default_rng(0)
  n = 300
  domains, problems = rng.choice(['maths', 'code'], n), rng.choice(list('abcdefghijklmnopqrstuvwxyz'), n)
  lengths, scores = rng.integers(10, 1000, n), rng.normal(1, 0.2, n)
  options = SelectionOptions(length_bounds=(200, 500), outlier_quantile=0.02, per_problem=3)
  verdicts = np.array(select(domains, problems, lengths, scores, options, {'code': 20}))
  order = rng.permutation(n)
  again = select(domains[order], problems[order], lengths[order], scores[order], options, {'code': 20})
  assert again == verdicts[order].tolist()
  counts = collections.Counter(verdicts.tolist())
  assert set(counts) == {'kept', *selection.REASONS} and sum(verdicts[domains == 'code'] == 'kept') == 20


def test_nothing_to_select():
  assert run([]) == []


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(low_quantile=0.9, high_quantile=0.5), 'low_quantile=0.9'),
    (dict(high_quantile=95.0), 'high_quantile=95'),
    (dict(outlier_quantile=0.5), 'outlier_quantile=0.5'),
    (dict(length_bounds=(5, 3)), 'length_bounds'),
    (dict(per_problem=-1), 'per_problem=-1'),
  ],
)
def test_errors(changes, message):
  with pytest.raises(ValueError, match=message):
    run([1.0, 2.0], **changes)


def test_broken_scores():
  with pytest.raises(ValueError, match='1 of 2 scores are not finite'):
    run([1.0, float('nan')])
