"""The last stage: the models of the run compared on the same held-out problems, with intervals."""

import json
import time
from typing import Iterator, Literal, NamedTuple

import jax
import numpy as np

from vibethinker_jax import config as config_lib, hosts
from vibethinker_jax.config import Count, Positive
from vibethinker_jax.data import sources, synthetic
from vibethinker_jax.eval import benchmarks, passk, report
from vibethinker_jax.programs import inputs
from vibethinker_jax.programs.stage import Model, Stage, finish, open_model, progress
from vibethinker_jax.sampler import engine


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
  rows = inputs.problems(stage, options.data, 'evaluate', stage.recipe.domains, options.levels, options.problems)
  models = {}
  bar = progress(len(options.models), stage.name, unit='model')
  for name in options.models:
    path = stage.directory / f'scores_{name}.json'
    models[name] = hosts.agreed(lambda: json.loads(path.read_text()) if path.exists() else None)
    if models[name] is None:
      found = score_model(stage, options, open_model(stage, 'base' if name == 'init' else name), rows)
      models[name] = hosts.agreed(lambda: config_lib.write_json(path, found) or found)
    bar.update(1)
  bar.close()
  result = {'models': {name: scores['domains'] for name, scores in models.items()},
            'lengths': {name: scores['lengths'] for name, scores in models.items()},
            'seconds': round(time.time() - started, 1)}
  hosts.say(report.table(result['models'], max(options.ks)))
  finish(stage, result)
  return result


def score_model(stage: Stage, options: Options, model: Model, rows: list[dict]) -> dict:
  """{'domains': {domain: passk.summary}, 'lengths': ..., 'examples': [...]} of one model; same draws for every model."""
  key = jax.random.fold_in(jax.random.key(stage.recipe.seed), 20_000)
  scored = benchmarks.sample_and_verify(model.config, model.params, model.tokenizer, rows, options.samples,
                                        options.sampler, key=key, mesh=stage.mesh, pool=stage.pool)
  where = np.array([row['domain'] for row in rows])
  domains = list(dict.fromkeys(where.tolist()))
  groups = {domain: where == domain for domain in domains}
  if set(domains) & set(synthetic.MATHS):
    groups['maths'] = np.isin(where, synthetic.MATHS)
  lengths, stopped = scored.responses.lengths_PG, scored.responses.stopped_PG
  examples = [
      {'domain': domain, 'prompt': rows[p]['prompt'], 'answer': rows[p]['answer'], 'responses': [
          {'text': text, 'reward': int(correct), 'tokens': int(length)}
          for text, correct, length in zip(scored.texts_PG[p], scored.correct_PG[p], lengths[p])]}
      for domain in domains for p in np.flatnonzero(groups[domain])[:options.examples]]
  return {
      'domains': {name: passk.summary(scored.correct_PG[members], options.ks) for name, members in groups.items()},
      'lengths': {'mean': float(lengths.mean()), 'truncated': float(1 - stopped.mean()),
                  'invalid': int((~scored.valid_PG).sum()), 'tokens': int(lengths.sum()), 'seconds': scored.seconds[0]},
      'examples': examples}
