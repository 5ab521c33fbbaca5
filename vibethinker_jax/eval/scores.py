"""The numbers of an evaluation, from its judged responses alone: the same responses give the same numbers."""

import collections
from typing import NamedTuple

import numpy as np

from vibethinker_jax.eval import passk, rewards

QUANTILES = (0, 5, 25, 50, 75, 95, 100)


class Judged(NamedTuple):
  """One response with its verdict.

  Attributes:
    status: correct, wrong or invalid. reason: the verdict's. answer: what it votes for (votes.answer), None if nothing.
    tokens: None where they are not known. cut_off: ended by the token limit; None where that is not known.
    reward, parts: of a function of the user's (verify.verdict); None of the default verifier, or without a verdict.
  """

  sample: int
  text: str
  status: str
  reason: str
  answer: str | None
  tokens: int | None
  cut_off: bool | None
  reward: float | None = None
  parts: dict | None = None


def curve(n_P, c_P) -> dict:
  """{k: {'value', 'ci95', 'problems'}}: unbiased Pass@k for k = 1, 2, 4, ... and the most samples that a problem has.

  Problems with fewer than k valid samples are left out of that k; `problems` says how many are in it.
  """
  n, c = np.asarray(n_P), np.asarray(c_P)
  most = int(n.max(initial=0))
  ks = sorted({k for k in (2**i for i in range(20)) if k <= most} | ({most} if most else set()))
  found = {}
  for k in ks:
    values = passk.pass_at_k(n[n >= k], c[n >= k], k)
    found[str(k)] = mean_with_interval(values)
  return found


def mean_with_interval(values_P) -> dict:
  """{'value', 'ci95', 'problems'} of shares from 0 to 1; None where there is no problem.

  Where no problem, or every one, is solved, no resampling can tell how far off that is: then the interval is the exact
  one of so many coins (Clopper and Pearson 1934).
  """
  values = np.asarray(values_P, float)
  if not len(values):
    return {'value': None, 'ci95': [None, None], 'problems': 0}
  bound = 0.025 ** (1 / len(values))
  exact = {0.0: [0.0, 1 - bound], 1.0: [bound, 1.0]}.get(values[0]) if np.ptp(values) == 0 else None
  return {'value': float(values.mean()), 'ci95': exact or list(passk.interval(values)), 'problems': len(values)}


def amounts(values: list) -> dict | None:
  """Mean and quantiles in percent; None of nothing."""
  if not values:
    return None
  return {
    'mean': round(float(np.mean(values)), 2),
    'quantiles': {str(q): float(np.percentile(values, q)) for q in QUANTILES},
  }


def of_rewards(judged_P: list[list[Judged]]) -> dict | None:
  """The mean reward over problems with its interval, and all responses' mean and deviation of it and of its parts; None
  where there are no rewards."""
  known_P = [[j for j in judged if j.reward is not None] for judged in judged_P]
  values = [float(np.mean([j.reward for j in known])) for known in known_P if known]
  if not values:
    return None
  every = [j for known in known_P for j in known]
  spread = rewards.spread([j.reward for j in every], [j.parts or {} for j in every])
  named = {name: {'mean': mean, 'std': deviation} for name, (mean, deviation) in spread.items()}
  return {
    'value': float(np.mean(values)),
    'ci95': list(passk.interval(values)),
    'problems': len(values),
    'std': named.pop('')['std'],
    'parts': named,
  }


def of_set(rows: list[dict], judged_P: list[list[Judged]], cons_P: list) -> dict:
  """The numbers of one set.

  Args:
    rows: its problems, with `id` and `subject`.
    judged_P: responses of each problem, in the order of their samples.
    cons_P: cons@n of each problem, None where there is no answer to vote on (code).

  Returns:
    avg (mean over problems of the share of correct ones among valid responses), pass@k, cons, cut_off, tokens, invalid,
    reasons, subjects, per_problem; reward (of_rewards), where there are some. A problem without any valid response
    counts nowhere but in `invalid`.
  """
  every = [j for judged in judged_P for j in judged]
  n = np.array([sum(j.status != 'invalid' for j in judged) for judged in judged_P], int)
  c = np.array([sum(j.status == 'correct' for j in judged) for judged in judged_P], int)
  accuracy = np.where(n > 0, c / np.maximum(n, 1), np.nan)
  voted = [v for v, valid in zip(cons_P, n) if v is not None and valid]
  tokens = lambda chosen: amounts([j.tokens for j in chosen if j.tokens is not None])
  cut = [j.cut_off for j in every if j.cut_off is not None]
  subjects = collections.defaultdict(list)
  for p, row in enumerate(rows):
    subjects[row['subject']].append(p)
  reward = of_rewards(judged_P)
  return ({'reward': reward} if reward else {}) | {
    'problems': len(rows),
    'responses': len(every),
    'samples': [int(n.min(initial=len(every))), int(n.max(initial=0))],
    'avg': mean_with_interval(accuracy[n > 0]),
    'pass@k': curve(n[n > 0], c[n > 0]),
    'cons': mean_with_interval(voted) if voted else None,
    'cut_off': float(np.mean(cut)) if cut else None,
    'tokens': tokens(every),
    'tokens_correct': tokens([j for j in every if j.status == 'correct']),
    'tokens_wrong': tokens([j for j in every if j.status == 'wrong']),
    'characters': amounts([len(j.text) for j in every]),
    'invalid': {
      'responses': sum(j.status == 'invalid' for j in every),
      'problems': int((n == 0).sum()),
      'reasons': _counts(j.reason for j in every if j.status == 'invalid'),
    },
    'reasons': _counts(j.reason for j in every if j.status != 'invalid'),
    'subjects': {
      name: mean_with_interval(accuracy[[p for p in members if n[p]]]) for name, members in subjects.items()
    },
    'per_problem': [
      {
        'id': row['id'],
        'subject': row['subject'],
        'samples': int(n[p]),
        'correct': int(c[p]),
        'avg': float(accuracy[p]) if n[p] else None,
        **({'reward': _mean([j.reward for j in judged_P[p]])} if reward else {}),
        'cons': cons_P[p] if n[p] else None,
        'tokens': _mean([j.tokens for j in judged_P[p]]),
        'cut_off': _mean([j.cut_off for j in judged_P[p]]),
      }
      for p, row in enumerate(rows)
    ],
  }


def without(score: dict, ids: set) -> dict:
  """{'with', 'without', 'only'}: the mean score of all problems, without those of the ids, and of those alone."""
  every = [p for p in score['per_problem'] if p['avg'] is not None]
  chosen = {
    'with': every,
    'without': [p for p in every if p['id'] not in ids],
    'only': [p for p in every if p['id'] in ids],
  }
  return {name: mean_with_interval([p['avg'] for p in problems]) for name, problems in chosen.items()}


def difference(first: dict, second: dict) -> dict:
  """Second minus first on the problems that both have, paired: the problems' differences are resampled.

  Args:
    first, second: scores of the same set (of_set).

  Returns:
    value, ci95, problems; better, worse, equal: of how many problems the second one solves more, less, as often.
  """
  of = lambda score: {p['id']: p['avg'] for p in score['per_problem'] if p['avg'] is not None}
  a, b = of(first), of(second)
  change = np.array([b[name] - a[name] for name in a if name in b])
  return {
    'value': float(change.mean()) if len(change) else None,
    'ci95': list(passk.interval(change)) if len(change) else [None, None],
    'problems': len(change),
    'better': int((change > 0).sum()),
    'worse': int((change < 0).sum()),
    'equal': int((change == 0).sum()),
  }


def _counts(names) -> dict[str, int]:
  return dict(sorted(collections.Counter(names).items()))


def _mean(values: list) -> float | None:
  known = [v for v in values if v is not None]
  return round(float(np.mean(known)), 2) if known else None
