"""Difficulty filtering of SFT traces (VibeThinker-3B §2.1.2): long ones, of problems that a reference model gets wrong.

The cheap tests come first; each problem that is left is sampled once, whatever the number of its traces. A later `sft`
stage reads the result by this stage's name: data.files='filter'.
"""

from collections.abc import Iterator
import logging
import time
from typing import NamedTuple

import jax

from vibethinker_jax.config import Count, Positive, Share
from vibethinker_jax.data import ngrams, sources
from vibethinker_jax.data.tokens import chat
from vibethinker_jax.eval import benchmarks
from vibethinker_jax.programs import asked, inputs
from vibethinker_jax.programs.stage import Model, Stage, finish, open_model, progress, refuse_invalid, stage_key
from vibethinker_jax.runtime import hosts
from vibethinker_jax.sampler import engine

LOG = logging.getLogger('vibethinker_jax')
REASONS = ('too_short', 'repetitive', 'too_easy', 'no_verdict')


class Options(NamedTuple):
  """Config of a `filter` stage.

  Attributes:
    program: 'filter'. init_from: the reference model, see stage.open_model.
    data: files of traces (data.sources.DataOptions) with an answer or tests, or stages that wrote some.
    sampler: how the reference model answers.
    samples: its responses to each problem; 0 keeps problems of any difficulty.
    min_error_rate: the share of them that must be wrong; those without a verdict do not count.
    min_response_tokens: a shorter trace is dropped.
    max_repetition: a trace with more (data.ngrams.repetition) is dropped. Of 500 MATH-500 outputs of a 14B model three
      repeat themselves, with 0.8 and more; the others have at most 0.22.
    chunk: problems sampled between two writes of what is known; after a restart only those that follow are sampled.
  """

  program: str
  init_from: str
  data: sources.DataOptions
  sampler: engine.Options
  samples: Count = 8
  min_error_rate: Share = 0.75
  min_response_tokens: Count = 5000
  max_repetition: Share = 0.3
  chunk: Positive = 256

  def conflicts(self) -> Iterator[str]:
    if not self.data.files or self.data.weights:
      yield 'data needs files of traces and no weights'


def run(stage: Stage, options: Options) -> dict:
  """Writes data.jsonl and returns the result: traces, problems, kept, and how many were dropped for each reason."""
  started = time.time()
  data = inputs.resolve(stage, options.data)
  model = open_model(stage, options.init_from)
  dropped, traces, problems = dict.fromkeys(REASONS, 0), [], {}
  count = 0
  for trace in sources.read_traces(data):
    count += 1
    if len(model.tokenizer.encode(chat.continuation(model.tokenizer, trace))) < options.min_response_tokens:
      dropped['too_short'] += 1
    elif ngrams.repetition(trace['response']) > options.max_repetition:
      dropped['repetitive'] += 1
    else:
      if options.samples:
        check_judged(trace, stage.name)
      name = inputs.problem_id(trace)
      row = {field: value for field, value in trace.items() if field != 'response'}
      problems.setdefault(name, row | {'id': name})
      traces.append((name, trace['response']))
  asked.show(stage, model.tokenizer, asked.firsts(problems.values()))
  rates = error_rates(stage, options, model, problems) if options.samples else {}

  kept = []
  for name, response in traces:
    rate = rates.get(name)
    if options.samples and rate is None:
      dropped['no_verdict'] += 1
    elif options.samples and rate < options.min_error_rate:
      dropped['too_easy'] += 1
    else:
      kept.append(_row(problems[name], response, rate))
  if not kept and stage.recipe.rehearsal:
    LOG.info(
      'stage %s, rehearsal: all %d traces that were sampled are kept; by its settings it would drop them: %s',
      stage.name,
      len(traces),
      dropped,
    )
    kept = [_row(problems[name], response, rates.get(name)) for name, response in traces]
  if not kept:
    raise ValueError(f'stage {stage.name!r} keeps none of {count} traces: {dropped}')
  inputs.write_data(stage, kept)
  result = {
    'traces': count,
    'kept': len(kept),
    'dropped': dropped,
    'problems_sampled': len(rates),
    'seconds': round(time.time() - started, 1),
  }
  hosts.say(
    f'{stage.name}: {len(kept)} of {count} traces kept; dropped: '
    + ', '.join(f'{number} {reason}' for reason, number in dropped.items())
  )
  finish(stage, result)
  return result


def check_judged(trace: dict, name: str) -> None:
  """Raises ValueError for a trace of the stage `name` that no verifier can judge."""
  if not trace['answer'] and trace['tests'] is None and not trace.get('constraints'):
    raise ValueError(
      f'{name}: a trace has neither answer nor tests, so that its difficulty is unknown: name the field in '
      f'{name}.data.answer, or set {name}.samples=0. Its prompt starts with {str(trace["prompt"])[:80]!r}'
    )


def _row(problem: dict, response: str, rate: float | None) -> dict:
  return {key: value for key, value in problem.items() if key not in ('id', 'prefix') and value is not None} | {
    'response': response,
    'error_rate': rate,
  }


def error_rates(stage: Stage, options: Options, model: Model, problems: dict[str, dict]) -> dict[str, float | None]:
  """The share of wrong responses of the reference model to each problem; None where no response has a verdict.

  The counts are appended to error_rates.jsonl chunk by chunk. A draw depends on the problem alone: chunks and restarts
  change nothing.
  """
  path = stage.directory / 'error_rates.jsonl'
  known = hosts.agreed(lambda: {line['problem']: line for line in inputs.whole_lines(path)})
  todo = [row for name, row in problems.items() if name not in known]
  invalid, total = [], 0
  bar = progress(len(problems), stage.name, len(problems) - len(todo), unit='problem')
  with inputs.reopen(path) as file:
    for start in range(0, len(todo), options.chunk):
      chunk = todo[start : start + options.chunk]
      scored = benchmarks.sample_and_verify(
        model,
        chunk,
        options.samples,
        options.sampler,
        key=jax.random.fold_in(stage_key(stage), 0),
        mesh=stage.mesh,
        pool=stage.pool,
      )
      more, count = benchmarks.invalid_of(scored)
      invalid, total = invalid + more, total + count
      refuse_invalid(stage, 'sampling', invalid, total)
      for row, correct, valid in zip(chunk, scored.correct_PG, scored.valid_PG):
        known[row['id']] = {'problem': row['id'], 'correct': int(correct.sum()), 'valid': int(valid.sum())}
        inputs.append(file, known[row['id']])
      bar.update(len(chunk))
  bar.close()
  found = {name: known[name] for name in problems}
  return {name: 1 - x['correct'] / x['valid'] if x['valid'] else None for name, x in found.items()}
