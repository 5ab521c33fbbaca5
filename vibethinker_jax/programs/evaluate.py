"""The last stage: the models of the run compared on the same held-out problems, with intervals.

Each model has a directory: responses.jsonl, where every response is kept as soon as it is complete, and timing.json, as
of `python -m vibethinker_jax.evaluate`. Stopped and started again, only what is missing is sampled.
"""

from collections.abc import Iterator
import functools
import pathlib
import time
from typing import Literal, NamedTuple

import jax
import numpy as np

from vibethinker_jax import config as config_lib
from vibethinker_jax.config import Count, Positive
from vibethinker_jax.data import sources, synthetic
from vibethinker_jax.eval import collect, judge, passk, sets
from vibethinker_jax.eval.journal import Journal, remember
from vibethinker_jax.eval.pages import report
from vibethinker_jax.eval.rewards import graded, spread
from vibethinker_jax.programs import asked, inputs
from vibethinker_jax.programs.examples import number
from vibethinker_jax.programs.stage import Stage, finish, identity, open_model, progress
from vibethinker_jax.runtime import hosts, timeline
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify import faults


class Options(NamedTuple):
  """Config of an `evaluate` stage.

  Attributes:
    program: 'evaluate'. models: stages of this run, and 'init' for the model that the recipe starts from.
    data: files of held-out problems; no files: synthetic ones of `levels`.
    problems: per domain; of files at most so many, 0 is all. samples: responses to each; ks: the K of Pass@K.
    sampler: how to sample. examples: problems per model and domain whose responses are kept for the report.
  """

  program: str
  models: tuple[str, ...]
  levels: tuple[Literal[synthetic.LEVELS], ...]
  problems: Count
  samples: Positive
  ks: tuple[Positive, ...]
  sampler: engine.Options
  examples: Count = 4
  data: sources.DataOptions = sources.DataOptions()

  def conflicts(self) -> Iterator[str]:
    if not self.models:
      yield 'models=() must name at least one'
    if not self.ks:
      yield 'ks=() must name at least one K of Pass@K'
    elif max(self.ks) > self.samples:
      yield f'ks={self.ks}: Pass@{max(self.ks)} needs as many samples, there are samples={self.samples}'


def run(stage: Stage, options: Options) -> dict:
  """Evaluates each model once; a model evaluated before a restart is not evaluated again."""
  started = time.time()
  chosen, models, shown = problems(stage, options), {}, False
  for name in options.models:
    path = stage.directory / f'scores_{name}.json'
    models[name] = hosts.agreed(functools.partial(config_lib.read_json, path))
    if models[name] is None:
      journal, futures = respond(stage, options, name, chosen, show=not shown)
      shown = True
      judged = functools.partial(score, stage, options, chosen, journal, futures, path)
      models[name] = hosts.agreed(judged, 'the verdicts')
  result = {
    'models': {name: scores['domains'] for name, scores in models.items()},
    'lengths': {name: scores['lengths'] for name, scores in models.items()},
    **({'rewards': {name: scores['rewards'] for name, scores in models.items()}} if graded(stage.recipe) else {}),
    'seconds': round(time.time() - started, 1),
  }
  hosts.say(report.table(result['models'], max(options.ks)))
  for name, found in result.get('rewards', {}).items():
    hosts.say(f'{name}: {report.rewards_said(found)}')
  finish(stage, result)
  return result


def problems(stage: Stage, options: Options) -> sets.Set:
  """The stage's problems as a set, whose ids differ."""
  rows = inputs.problems(stage, options.data, 'evaluate', stage.recipe.domains, options.levels, options.problems)
  data = inputs.resolve(stage, options.data) if options.data.files else options.data._replace(files='synthetic')
  sampler = options.sampler
  protocol = sets.Protocol(options.samples, **{name: getattr(sampler, name) for name in sets.Protocol._fields[1:]})
  return sets.make(stage.name, '', data, rows, protocol)


def respond(stage: Stage, options: Options, name: str, chosen: sets.Set, show: bool = False) -> tuple[Journal, dict]:
  """Samples what a model's journal lacks, the same draws for every model. Returns the journal and the verdicts under
  way.

  show: first says what is asked (programs.asked).
  """
  directory, source = stage.directory / name, 'base' if name == 'init' else name
  model = open_model(stage, source)
  if show:
    asked.show(stage, model.tokenizer, asked.firsts(chosen.rows))
  known = {'model': identity(stage, source)}  # every host: they read a checkpoint together
  hosts.agreed(lambda: remember(directory / 'config.json', known, [chosen], f'Remove {directory} to evaluate again'))
  return collect.collect(
    model,
    [chosen],
    directory,
    {chosen.name: options.sampler},
    mesh=stage.mesh,
    pool=stage.pool,
    key=jax.random.fold_in(jax.random.key(stage.recipe.seed), 20_000),
    progress=lambda total, there: progress(total, f'{stage.name} {name}', there, 'response'),
  )


def score(
  stage: Stage, options: Options, chosen: sets.Set, journal: Journal, futures: dict, path: pathlib.Path
) -> dict:
  """{'domains': {domain: passk.summary}, 'lengths': ..., 'examples': [...]} of one model: written to `path`, after its
  journal is put in order."""
  with timeline.phase('verify'):
    judged_P = judge.judged(chosen, journal.known, stage.pool, futures, graded(stage.recipe))
  known = [j for judged in judged_P for j in judged]
  invalid = [j.reason for j in known if j.status == 'invalid']
  faults.refuse(
    f'stage {stage.name!r}, {path.stem}', invalid, len(known), stage.recipe.verify.invalid_share, stage.pool.first_fault
  )
  journal.finish(judge.lines_of(chosen, judged_P))
  journal.close()
  rows, status_PG = chosen.rows, np.array([[j.status for j in judged] for judged in judged_P])
  where = np.array([row['domain'] for row in rows])
  domains = list(dict.fromkeys(where.tolist()))
  groups = {domain: where == domain for domain in domains}
  if options.data.files and len(domains) > 1:
    groups[report.TOTAL] = np.ones(len(where), bool)
  elif not options.data.files and set(domains) & set(synthetic.MATHS):
    groups['maths'] = np.isin(where, synthetic.MATHS)
  every = [j for judged in judged_P for j in judged]
  examples = [
    {
      'domain': domain,
      'prompt': rows[p]['prompt'],
      'answer': rows[p]['answer'],
      'responses': [
        {'text': j.text, 'reward': int(j.status == 'correct') if j.reward is None else number(j.reward)}
        | ({} if j.reward is None else {'correct': j.status == 'correct'})
        | {'tokens': j.tokens}
        for j in judged_P[p]
      ],
    }
    for domain in domains
    for p in np.flatnonzero(groups[domain])[: options.examples]
  ]
  found = {
    'domains': {name: passk.summary(status_PG[members] == 'correct', options.ks) for name, members in groups.items()},
    'lengths': {
      'mean': float(np.mean([j.tokens for j in every])),
      'truncated': float(np.mean([j.cut_off for j in every])),
      'invalid': int((status_PG == 'invalid').sum()),
      'tokens': sum(j.tokens for j in every),
    },
    'examples': examples,
  }
  if graded(stage.recipe):
    there = [j for j in every if j.reward is not None]
    found['rewards'] = spread([j.reward for j in there], [j.parts or {} for j in there])
  config_lib.write_json(path, found)
  return found
