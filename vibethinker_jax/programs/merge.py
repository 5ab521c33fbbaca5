"""Expert model fusion: the specialists that probing chose, averaged (VibeThinker-1.5B §3.3, step 2)."""

from collections.abc import Iterator
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vibethinker_jax import checkpoint, config as config_lib
from vibethinker_jax.config import NotNegative
from vibethinker_jax.programs import probe
from vibethinker_jax.programs.stage import Stage, finish, finished, open_model
from vibethinker_jax.runtime import hosts

ROUNDING = 1e-6  # of weights whose sum should be 1


class Options(NamedTuple):
  """Config of a `merge` stage.

  Attributes:
    program: 'merge'. init_from: the stage whose checkpoints are merged. probe: the stage that chose them.
    weights: one per domain, >= 0 with sum 1; () is 1/N each, as in the paper.
  """

  program: str
  init_from: str
  probe: str
  weights: tuple[NotNegative, ...] = ()

  def conflicts(self) -> Iterator[str]:
    if self.weights and abs(sum(self.weights) - 1) > ROUNDING:
      yield f'weights={self.weights} must have the sum 1, not {sum(self.weights):g}'


def run(stage: Stage, options: Options) -> dict:
  """Averages, saves, and evaluates the merged model on the probing sets beside every single checkpoint."""
  started = time.time()
  probed = hosts.agreed(lambda: finished(stage.workdir, options.probe))
  if probed is None:
    raise ValueError(f'stage {stage.name!r} needs the result of {options.probe!r}: run --stages={options.probe} first')
  chosen = probed['chosen']
  weights = list(options.weights) or [1 / len(chosen)] * len(chosen)
  if len(weights) != len(chosen):
    raise ValueError(f'{stage.name}.weights has {len(weights)} numbers for the {len(chosen)} domains {list(chosen)}')
  by_step = {}
  for (_, step), weight in zip(chosen.items(), weights):
    by_step[step] = by_step.get(step, 0.0) + weight
  models = [open_model(stage, f'{options.init_from}@{step}') for step in by_step]
  merged = models[0]._replace(params=weighted_average([m.params for m in models], list(by_step.values())))
  with checkpoint.Checkpoints(stage.directory / 'checkpoints', keep=None, model=merged.saved()) as checkpoints:
    if not hosts.agreed(lambda: checkpoint.steps(stage.directory / 'checkpoints')):
      checkpoints.save(0, merged.params, {'step': jnp.int32(0)}, {})

  probing = config_lib.bind(probe.Options, stage.config[options.probe], options.probe)
  scores = probe.probe_model(stage, probing, merged)
  result = {
    'specialists': chosen,
    'weights': dict(zip(chosen, weights)),
    'merged': scores,
    'k': probed['k'],
    'seconds': round(time.time() - started, 1),
  }
  hosts.say(table(result, probed))
  finish(stage, result)
  return result


def weighted_average(trees: list, weights: list[float]):
  """`sum_i w_i tree_i`, accumulated in float32 (expert model fusion, VibeThinker-1.5B §3.3).

  Raises:
    ValueError: no trees, negative weights, weights that do not sum to 1, or trees that do not match.
  """
  if not trees or len(trees) != len(weights):
    raise ValueError(f'{len(trees)} models and {len(weights)} weights: give one weight per model')
  if min(weights) < 0 or abs(sum(weights) - 1) > ROUNDING:
    raise ValueError(f'merge weights {weights} must be >= 0 and sum to 1')
  shapes = [jax.tree.map(jnp.shape, tree) for tree in trees]
  if any(s != shapes[0] for s in shapes):
    raise ValueError('the models to merge have different parameter trees or shapes')

  def average(*leaves):
    return sum(w * x.astype(jnp.float32) for w, x in zip(weights, leaves)).astype(leaves[0].dtype)

  return jax.tree.map(average, *trees)


def table(result: dict, probed: dict) -> str:
  """Mean Pass@1 and Pass@K over the subdomains: every checkpoint, then the merged model."""
  k = str(result['k'])
  mean = lambda scores, value: 100 * sum(value(s) for s in scores.values()) / len(scores)
  line = lambda name, scores: (
    f'{name:>8}{mean(scores, lambda s: s["pass@1"]):10.1f}{mean(scores, lambda s: s["pass@k"][k]):10.1f}'
  )
  lines = ['Mean over the subdomains of the probing sets', f'{"model":>8}{"Pass@1":>10}{"Pass@" + k:>10}']
  lines += [line(step, scores) for step, scores in probed['scores'].items()]
  return '\n'.join(lines + [line('merged', result['merged'])])
