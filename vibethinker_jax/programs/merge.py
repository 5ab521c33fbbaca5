"""Expert model fusion: the specialists that probing chose, averaged (VibeThinker-1.5B §3.3, step 2)."""

from collections.abc import Callable, Iterator
import functools
import time
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from vibethinker_jax import checkpoint, config as config_lib
from vibethinker_jax.config import NotNegative, Positive
from vibethinker_jax.programs import probe
from vibethinker_jax.programs.stage import Model, Stage, finish, finished, open_model
from vibethinker_jax.runtime import hosts

ROUNDING = 1e-6  # of weights whose sum should be 1


class Options(NamedTuple):
  """Config of a `merge` stage.

  Attributes:
    program: 'merge'. init_from: the stage whose checkpoints are merged. probe: the stage that chose them.
    weights: one per domain, >= 0 with sum 1; () is 1/N each, as in the paper.
    select: what is averaged. 'specialists': of each domain the checkpoint that probing chose (the paper); to compare
      with it 'pass_k' and 'pass_1': the one with the best mean over the domains, and 'newest': the last `newest`.
  """

  program: str
  init_from: str
  probe: str
  weights: tuple[NotNegative, ...] = ()
  select: Literal['specialists', 'pass_k', 'pass_1', 'newest'] = 'specialists'
  newest: Positive = 1

  def conflicts(self) -> Iterator[str]:
    if self.weights and abs(sum(self.weights) - 1) > ROUNDING:
      yield f'weights={self.weights} must have the sum 1, not {sum(self.weights):g}'
    if self.weights and self.select != 'specialists':
      yield f'weights={self.weights} must be (): they are of domains, and select={self.select!r} is of all together'
    if self.newest > 1 and self.select != 'newest':
      yield f"newest={self.newest} does nothing without select='newest'"


def run(stage: Stage, options: Options) -> dict:
  """Averages, saves, and evaluates the merged model on the probing sets beside every single checkpoint."""
  started = time.time()
  probed = hosts.agreed(lambda: finished(stage.workdir, options.probe))
  if probed is None:
    raise ValueError(f'stage {stage.name!r} needs the result of {options.probe!r}: run --stages={options.probe} first')
  chosen = selected(options, probed)
  weights = list(options.weights) or [1 / len(chosen)] * len(chosen)
  if len(weights) != len(chosen):
    raise ValueError(f'{stage.name}.weights has {len(weights)} numbers for the {len(chosen)} domains {list(chosen)}')
  by_step = {}
  for (_, step), weight in zip(chosen.items(), weights):
    by_step[step] = by_step.get(step, 0.0) + weight
  if len(by_step) == 1 and len(chosen) > 1:
    hosts.say(f'{stage.name}: all specialists are the checkpoint {next(iter(by_step))}: there is nothing to fuse')
  merged = average(
    functools.partial(open_model, stage), [f'{options.init_from}@{step}' for step in by_step], list(by_step.values())
  )
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


def selected(options: Options, probed: dict) -> dict[str, int]:
  """{what it is chosen for: step} of the checkpoints to average.

  Raises:
    ValueError: fewer checkpoints than options.newest.
  """
  if options.select == 'specialists':
    return probed['chosen']
  steps = sorted(map(int, probed['scores']))
  if options.select == 'newest':
    if len(steps) < options.newest:
      raise ValueError(f'{options.init_from} has {len(steps)} checkpoints, fewer than newest={options.newest}')
    return {f'checkpoint {step}': step for step in steps[-options.newest :]}
  k = '1' if options.select == 'pass_1' else str(probed['k'])
  mean = lambda step: sum(s['pass@k'][k] for s in probed['scores'][str(step)].values())
  return {f'Pass@{k}': max(steps, key=lambda step: (mean(step), -step))}


def average(open_: Callable[[str], Model], sources: list[str], weights: list[float]) -> Model:
  """The weighted average of models that are opened one after the other: two are in memory, whatever their number."""
  check_weights(len(sources), weights)
  total, first = None, None
  for source, weight in zip(sources, weights):
    model = open_(source)
    first = first or model._replace(params=dtypes(model.params))
    total = add(total, weight, model.params)
    del model  # before the next one is opened
  return first._replace(params=jax.tree.map(lambda x, dtype: x.astype(dtype), total, first.params))


def weighted_average(trees: list, weights: list[float]):
  """`sum_i w_i tree_i`, accumulated in float32 (expert model fusion, VibeThinker-1.5B §3.3).

  Raises:
    ValueError: no trees, negative weights, weights that do not sum to 1, or trees that do not match.
  """
  check_weights(len(trees), weights)
  total = None
  for tree, weight in zip(trees, weights):
    total = add(total, weight, tree)
  return jax.tree.map(lambda x, dtype: x.astype(dtype), total, dtypes(trees[0]))


def check_weights(models: int, weights: list[float]) -> None:
  """Raises ValueError for weights that are not one per model, >= 0 with the sum 1."""
  if not models or models != len(weights):
    raise ValueError(f'{models} models and {len(weights)} weights: give one weight per model')
  if min(weights) < 0 or abs(sum(weights) - 1) > ROUNDING:
    raise ValueError(f'merge weights {weights} must be >= 0 and sum to 1')


def add(total, weight: float, tree):
  """`total + weight tree` in float32, in the memory of `total`; None is 0.

  Raises:
    ValueError: trees that do not match.
  """
  scaled = lambda x: weight * x.astype(jnp.float32)
  if total is None:
    return jax.tree.map(lambda x: 0 + scaled(x), tree)
  if jax.tree.map(jnp.shape, tree) != jax.tree.map(jnp.shape, total):
    raise ValueError('the models to merge have different parameter trees or shapes')
  return jax.tree.map(lambda sum_, x: _add(sum_, scaled(x)), total, tree)


# The product is rounded before it is added: fused, the last bit would depend on the device.
_add = jax.jit(jnp.add, donate_argnums=0)


def dtypes(tree):
  return jax.tree.map(lambda x: x.dtype, tree)


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
