"""What the arms of a study gave with each seed, and what it says of the claims; no JAX.

Metrics are named STAGE.NAME by the stages of an arm's recipe:

  pass@1, pass@K, and DOMAIN.pass@1, DOMAIN.pass@K: of a model that an `evaluate` stage has evaluated, its total (of
    maths where there are maths domains) and its domains. tokens: of its responses, the mean; truncated: share of those
    cut off.
  accuracy, entropy: of an `rl` stage, mean over its last WINDOW steps, on the training problems before any group is
    left out. useful: groups that were trained on over groups that were sampled, over all steps. sampled_tokens,
    seconds (without compilation), steps: in all. tokens_to, seconds_to: until the accuracy (mean of WINDOW steps) has
    reached `reach`; missing where it never does. p=0, p<=1/4, p<3/4, p<1, p=1: shares of the sampled groups by the part
    of their responses that was right; each of these without those before it. What filtering prompts sampled before the
    first step is in none of these.
  probed: of a `merge` stage, the mean over the subdomains of Pass@K on the probing problems, which no evaluation has.
"""

import collections
import json
import math
import pathlib

import numpy as np

from vibethinker_jax import config as config_lib
from vibethinker_jax.eval import paired

WINDOW = 5  # steps
EVALUATED = ('tokens', 'truncated')  # beside pass@K
DIFFICULTY = ('p=0', 'p<=1/4', 'p<3/4', 'p<1', 'p=1')
TRAINED = (
  'accuracy',
  'entropy',
  'useful',
  'sampled_tokens',
  'seconds',
  'steps',
  'tokens_to',
  'seconds_to',
  *DIFFICULTY,
)


def of_evaluation(result: dict, model: str) -> dict[str, float]:
  """Metrics of one model of an evaluate stage's result.json."""
  domains, lengths = result['models'][model], result['lengths'][model]
  total = next((name for name in ('all problems', 'maths') if name in domains), None)
  total = domains[total] if total else next(iter(domains.values()))
  found = {f'{name}.pass@{k}': x for name, of in domains.items() for k, x in of['pass@k'].items()}
  found |= {f'pass@{k}': x for k, x in total['pass@k'].items()}
  return found | {'tokens': lengths['mean'], 'truncated': lengths['truncated']}


def of_training(lines: list[dict], reach: float) -> dict[str, float]:
  """Metrics of the metrics.jsonl of an rl stage."""
  accuracy = [line['accuracy'] for line in lines]
  tokens = np.cumsum([line['sampled_tokens'] for line in lines])
  seconds = np.cumsum([line['seconds/step'] - line.get('time/compile', 0.0) for line in lines])
  entropy = [line['entropy'] for line in lines if line.get('entropy') is not None]
  sampled = sum(line['sampled_groups'] for line in lines)
  found = {
    'accuracy': float(np.mean(accuracy[-WINDOW:])),
    'useful': sum(line['useful_groups'] for line in lines) / sampled if sampled else math.nan,
    'sampled_tokens': float(tokens[-1]),
    'seconds': float(seconds[-1]),
    'steps': float(len(lines)),
  }
  if entropy:
    found['entropy'] = float(np.mean(entropy[-WINDOW:]))
  smooth = {i: np.mean(accuracy[i + 1 - WINDOW : i + 1]) for i in range(WINDOW - 1, len(lines))}
  if there := [i for i, value in smooth.items() if value >= reach]:
    found |= {'tokens_to': float(tokens[there[0]]), 'seconds_to': float(seconds[there[0]])}
  return found


def difficulty(histogram: list[int]) -> dict[str, float]:
  """Shares of DIFFICULTY of a histogram of group accuracies, the last entry those in which all is right."""
  shares, top = dict.fromkeys(DIFFICULTY, 0.0), len(histogram) - 1
  for i, count in enumerate(histogram):
    p = i / top
    place = 0 if p == 0 else 4 if p == 1 else 1 if p <= 0.25 else 2 if p < 0.75 else 3
    shares[DIFFICULTY[place]] += count / (sum(histogram) or 1)
  return shares


def of_arm(directory: pathlib.Path, names: dict, reach: float) -> dict[str, float] | None:
  """Metrics of an arm with one seed; None where a stage of it is not finished.

  Args:
    directory: workdir of the seed. names: of the arm, see programs.arms.Union.
  """
  found = {}
  for stage, name in names.items():
    for model, part in name.items() if isinstance(name, dict) else [('', name)]:
      result = config_lib.read_json(directory / part / 'result.json')
      if result is None:
        return None
      if model:
        mine = of_evaluation(result, next(iter(result['models'])))
        found |= {f'{model}.{metric}': value for metric, value in mine.items()}
      elif 'merged' in result:
        scores = result['merged'].values()
        found[f'{stage}.probed'] = sum(s['pass@k'][str(result['k'])] for s in scores) / len(scores)
      elif 'group_accuracy_histogram' in result:
        lines = [json.loads(line) for line in (directory / part / 'metrics.jsonl').read_text().splitlines()]
        mine = of_training(lines, reach) | difficulty(result['group_accuracy_histogram'])
        found |= {f'{stage}.{metric}': value for metric, value in mine.items()}
  return found


def read(workdir: pathlib.Path, study, names: dict) -> dict[str, dict[int, dict]]:
  """{arm: {seed: metrics}} of what is finished."""
  found = {}
  for arm, values in study.arms.items():
    mine = {
      seed: of_arm(workdir / f'seed_{seed}', names[arm], study.reach)
      for seed in study.seeds[: values.seeds or len(study.seeds)]
    }
    found[arm] = {seed: metrics for seed, metrics in mine.items() if metrics is not None}
  return found


def pairs(trials: dict, first: str, second: str, metric: str) -> list[float]:
  """Differences first minus second of the seeds in which both have the metric."""
  mine, other = trials[first], trials[second]
  return [mine[s][metric] - other[s][metric] for s in mine if s in other and metric in mine[s] and metric in other[s]]


def correlations(trials: dict, arms: tuple[str, ...], x: str, y: str) -> list[float]:
  """Of each seed that all arms have: the correlation of two metrics over the arms, equal ones counted once."""
  seeds = [s for s in trials[arms[0]] if all(s in trials[arm] for arm in arms)]
  both = lambda s: sorted({(trials[arm][s][x], trials[arm][s][y]) for arm in arms if {x, y} <= trials[arm][s].keys()})
  varies = lambda found: len(found) > 2 and all(len(set(values)) > 1 for values in zip(*found))
  return [paired.correlation(*zip(*found)) for s in seeds if varies(found := both(s))]


def judged(study, trials: dict) -> dict[str, dict]:
  """{claim: {'says', 'verdict', 'n', 'planned', 'mean', 'low', 'high', 'p', 'visible', 'corrected', 'sentence'}}.

  p values are corrected for the number of claims of a family (Holm). mean, low, high are of the metric as it is, also
  where the claim says that it is smaller. A claim that lacks seeds is 'unfinished'.
  """
  sign = {'greater': 1, 'smaller': -1}
  families = collections.Counter(claim.family for claim in study.claims.values())
  found, corrected = {}, {}
  for name, claim in study.claims.items():
    values = (
      correlations(trials, claim.over, claim.metric, claim.beside)
      if claim.over
      else pairs(trials, claim.better, claim.than, claim.metric)
    )
    level = study.alpha / families[claim.family]
    found[name] = paired.of_differences(sign[claim.direction] * np.array(values), claim.margin, level)
  for family in families:
    mine = [name for name, claim in study.claims.items() if claim.family == family]
    corrected |= zip(mine, paired.holm([found[name].p for name in mine]))
  told = {}
  for name, of in found.items():
    claim, p = study.claims[name], corrected[name]
    planned = min(study.arms[arm].seeds or len(study.seeds) for arm in claim.over or (claim.better, claim.than))
    verdict = 'unfinished' if of.n < planned else paired.verdict(of, p, study.alpha, claim.margin)
    low, high = sorted(sign[claim.direction] * x for x in (of.low, of.high))
    if claim.over:
      low, high = max(-1.0, low), min(1.0, high)
    shown = of._replace(mean=sign[claim.direction] * of.mean, low=low, high=high)
    told[name] = {'says': claim.says, 'verdict': verdict, 'planned': planned, 'corrected': p}
    told[name] |= {field: value if math.isfinite(value) else None for field, value in shown._asdict().items()}
    told[name]['sentence'] = sentence(claim, shown, p, verdict, planned)
  return told


def amount(value: float, metric: str) -> str:
  """A difference for people: of shares in points, else a number."""
  if is_share(metric):
    return f'{100 * value:+.1f} points'
  return f'{value:+,.0f}' if abs(value) >= 100 else f'{value:+.3g}'


def is_share(metric: str) -> bool:
  return metric.rpartition('.')[2].startswith(('pass@', 'accuracy', 'useful', 'truncated', 'probed', 'p=', 'p<'))


def sentence(claim, found: paired.Difference, p: float, verdict: str, planned: int) -> str:
  """What the study says of a claim, in plain words; p is corrected."""
  if found.n < 2:
    return f'unfinished: {found.n} of {planned} seeds, two are needed'
  shown = (lambda x: f'{x:+.2f}') if claim.over else lambda x: amount(x, claim.metric)
  what = (
    f'correlation of {claim.beside} with {claim.metric} over these {len(claim.over)} arms'
    if claim.over
    else (f'{claim.metric} of {claim.better} minus that of {claim.than}')
  )
  seeds = f'{found.n} seeds' if found.n >= planned else f'{found.n} of {planned} seeds'
  if math.isclose(found.low, found.high, rel_tol=1e-9):
    return f'{verdict}: {what} is {shown(found.mean)} with each of {seeds}'
  bounds = ', '.join(shown(x).removesuffix(' points') for x in (found.low, found.high))
  words = f'{verdict}: {what} is {shown(found.mean)} [{bounds}] over {seeds}, corrected p {p:.2g}'
  if claim.margin:
    words += f' against {shown({"greater": -1, "smaller": 1}[claim.direction] * claim.margin)}'
  if verdict == 'undecided':
    seen = found.visible - claim.margin
    limit = 1 if claim.over or is_share(claim.metric) else math.inf
    words += (
      '; so few seeds could not have shown any effect'
      if seen > limit
      else f'; a difference of {shown(seen).lstrip("+")} could have been seen'
    )
  return words
