"""Domain-aware diversity probing: Pass@K of every checkpoint on every subdomain (VibeThinker-1.5B §3.3, step 1)."""

from collections.abc import Iterator
import functools
import pathlib
import time
from typing import Literal, NamedTuple

import jax
import numpy as np

from vibethinker_jax import checkpoint, config as config_lib
from vibethinker_jax.config import Count, Positive
from vibethinker_jax.data import sources, synthetic
from vibethinker_jax.eval import benchmarks, passk
from vibethinker_jax.programs import asked, inputs
from vibethinker_jax.programs.stage import Model, Stage, finish, open_model, progress, refuse_invalid
from vibethinker_jax.runtime import hosts, metrics
from vibethinker_jax.sampler import engine


class Options(NamedTuple):
  """Config of a `probe` stage.

  Attributes:
    program: 'probe'. init_from: the stage whose checkpoints are probed.
    data: files of probing sets, a row's domain is its subdomain; no files: synthetic problems of `levels`.
    problems: per subdomain; of files at most so many, 0 is all.
    samples: n per problem; k: the K of Pass@K, at most n.
    sampler: how to sample.
  """

  program: str
  init_from: str
  levels: tuple[Literal[synthetic.LEVELS], ...]
  problems: Count
  samples: Positive
  k: Positive
  sampler: engine.Options
  data: sources.DataOptions = sources.DataOptions()

  def conflicts(self) -> Iterator[str]:
    if self.k > self.samples:
      yield f'k={self.k} must be at most samples={self.samples}'


def run(stage: Stage, options: Options) -> dict:
  """Scores every checkpoint and picks `argmax_t P_i(t)` per subdomain (the earliest of equals)."""
  started = time.time()
  steps = hosts.agreed(lambda: checkpoint.steps(stage.workdir / options.init_from / 'checkpoints'))
  if not steps:
    raise ValueError(
      f'stage {stage.name!r} probes the checkpoints of {options.init_from!r}, which has none: '
      f'run --stages={options.init_from} first'
    )
  writer = metrics.Writer(stage.directory)
  bar = progress(len(steps), stage.name, unit='checkpoint')
  scores, shown = {}, False
  for step in steps:
    path = stage.directory / f'scores_{step}.json'  # a checkpoint probed before a restart is not probed again
    scores[step] = hosts.agreed(functools.partial(config_lib.read_json, path))
    if scores[step] is None:
      found = probe_model(stage, options, open_model(stage, f'{options.init_from}@{step}'), show=not shown)
      shown = True
      scores[step] = hosts.agreed(functools.partial(written, path, found))
    best = str(options.k)
    writer.write(
      step,
      {f'{domain}/pass_1': s['pass@1'] for domain, s in scores[step].items()}
      | {f'{domain}/pass_{best}': s['pass@k'][best] for domain, s in scores[step].items()},
    )
    hosts.first() and bar.write(
      f'  checkpoint {step}: pass@{options.k} '
      + ', '.join(f'{domain} {s["pass@k"][str(options.k)]:.3f}' for domain, s in scores[step].items())
    )
    bar.update(1)
  bar.close()
  writer.close()
  chosen = {
    domain: max(steps, key=lambda t: (scores[t][domain]['pass@k'][str(options.k)], -t)) for domain in scores[steps[0]]
  }
  result = {
    'k': options.k,
    'scores': {str(t): s for t, s in scores.items()},
    'chosen': chosen,
    'seconds': round(time.time() - started, 1),
  }
  hosts.say(table(result))
  finish(stage, result)
  return result


def written(path: pathlib.Path, found: dict) -> dict:
  config_lib.write_json(path, found)
  return found


def probe_model(stage: Stage, options: Options, model: Model, show: bool = False) -> dict:
  """{domain: passk.summary} on the probing sets; the same draws for every model.

  show: first says what is asked (programs.asked).
  """
  rows = inputs.problems(stage, options.data, 'probe', stage.recipe.domains, options.levels, options.problems)
  if show:
    asked.show(stage, model.tokenizer, asked.firsts(rows))
  key = jax.random.fold_in(jax.random.key(stage.recipe.seed), 10_000)
  scored = benchmarks.sample_and_verify(
    model, rows, options.samples, options.sampler, key=key, mesh=stage.mesh, pool=stage.pool
  )
  refuse_invalid(stage, 'sampling', *benchmarks.invalid_of(scored))
  domains = np.array([row['domain'] for row in rows])
  return {
    domain: passk.summary(scored.correct_PG[domains == domain], sorted({1, options.k}))
    for domain in dict.fromkeys(domains.tolist())
  }


def table(result: dict) -> str:
  """Pass@K per checkpoint and subdomain, the chosen ones starred."""
  k, chosen = str(result['k']), result['chosen']
  lines = [f'Pass@{k} of each checkpoint (* chosen)', '   step  ' + ''.join(f'{d:>13}' for d in chosen)]
  for step, scores in result['scores'].items():
    cells = (f'{100 * s["pass@k"][k]:11.1f}{"*" if str(chosen[d]) == step else " "} ' for d, s in scores.items())
    lines.append(f'{step:>7}  ' + ''.join(cells))
  return '\n'.join(lines)
