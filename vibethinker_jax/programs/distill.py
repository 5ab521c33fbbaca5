"""Offline self-distillation (VibeThinker-3B §2.3): verified responses of earlier RL checkpoints become SFT data again.

Every teacher answers its own problems; right responses that a student can still learn from are kept. A later `sft`
stage reads the result by this stage's name: data.files='distill'.
"""

import collections
from collections.abc import Iterable, Iterator
import functools
import hashlib
import itertools
import json
import logging
import pathlib
import time
from typing import Literal, NamedTuple

import jax
import numpy as np

from vibethinker_jax import sharding
from vibethinker_jax.config import Count, Positive
from vibethinker_jax.data import sources, synthetic
from vibethinker_jax.data.tokens import chat
from vibethinker_jax.eval import benchmarks
from vibethinker_jax.programs import asked, inputs
from vibethinker_jax.programs.stage import Model, Stage, finish, open_model, progress, refuse_invalid, stage_key
from vibethinker_jax.rl import batch as batch_lib, selection
from vibethinker_jax.runtime import hosts, storage, timeline
from vibethinker_jax.sampler import engine
from vibethinker_jax.train import loss

LOG = logging.getLogger('vibethinker_jax')
COUNTS = ('wrong', 'no_verdict', 'truncated')  # of what was sampled and is not kept as text
KEPT = ('prompt', 'problem', 'answer', 'tests', 'choices')  # fields of a problem in what is written
REASONS = (*COUNTS, 'duplicate', 'too_short', 'too_long', *selection.REASONS)


class TeacherOptions(NamedTuple):
  """Who answers the problems of a domain.

  Attributes:
    models: one or several, each answers every problem; see stage.open_model.
    data, domains, levels, problems: the problems, as of an rl stage.
    max_traces: of this domain in what is written, so that none drowns the others; 0 is no limit.
  """

  models: tuple[str, ...]
  data: sources.DataOptions
  domains: tuple[Literal[synthetic.DOMAINS], ...] = ()
  levels: tuple[Literal[synthetic.LEVELS], ...] = ()
  problems: Count = 0
  max_traces: Count = 0

  def conflicts(self) -> Iterator[str]:
    yield from inputs.lacking(self)
    if not self.models:
      yield 'models=() must name at least one'


class Options(NamedTuple):
  """Config of a `distill` stage.

  Attributes:
    program: 'distill'. init_from: the student, see stage.open_model; its tokenizer counts the tokens.
    teachers: {domain: TeacherOptions}; the name of the domain is that of the traces.
    sampler: how the teachers answer. samples: responses of each model to each problem.
    min_response_tokens: a shorter response is dropped.
    select: which learning potentials are kept (rl.selection).
    row_length, micro_batch: packed rows for scoring, and how many of them go through the student at once. What does not
      fit a row is dropped.
    chunk: problems sampled, or traces scored, between two writes of what is known; a restart goes on there.
  """

  program: str
  init_from: str
  teachers: dict[str, TeacherOptions]
  sampler: engine.Options
  samples: Positive
  row_length: Positive
  micro_batch: Positive
  min_response_tokens: Count = 256
  select: selection.SelectionOptions = selection.SelectionOptions()
  chunk: Positive = 256

  def conflicts(self) -> Iterator[str]:
    if not self.teachers:
      yield 'teachers needs at least one domain'
    if self.min_response_tokens > self.row_length:
      yield (
        f'min_response_tokens={self.min_response_tokens} must be at most row_length={self.row_length}: longer ones do '
        'not fit a row'
      )

  def misfits(self, mesh) -> Iterator[str]:
    yield from inputs.rows_misfit(mesh, 'micro_batch', self.micro_batch)
    yield from inputs.positions_misfit(mesh, 'row_length', (self.row_length,))


class Response(NamedTuple):
  """A right response of samples.jsonl, as text."""

  domain: str
  problem: str
  model: str
  response: str


class Encoded(NamedTuple):
  """The same for the student. index: which of the right responses. prompt, tokens: ids; the end token is the last."""

  index: int
  domain: str
  problem: str
  prompt: list
  tokens: list


class Scored(NamedTuple):
  """The same without its ids. tokens: how many. score: the learning potential."""

  index: int
  domain: str
  problem: str
  tokens: int
  score: float


def run(stage: Stage, options: Options) -> dict:
  """Writes data.jsonl and returns the result: sampled, kept, how many were dropped for each reason, per domain."""
  started = time.time()
  problems = {}
  for domain, teacher in options.teachers.items():
    rows = inputs.problems(stage, teacher.data, 'rl', teacher.domains, teacher.levels, teacher.problems)
    problems[domain] = {name: row | {'id': name} for row in rows for name in [inputs.problem_id(row)]}
  path = sample(stage, options, problems)

  dropped = {domain: dict.fromkeys(REASONS, 0) for domain in problems}
  for line in _samples(path, problems):
    for name in COUNTS:
      dropped[line['domain']][name] += line[name]
  student = open_model(stage, options.init_from)
  if not hosts.agreed((stage.directory / asked.NAME).exists):  # no teacher was needed any more
    asked.show(stage, student.tokenizer, asked.firsts(_every(problems)))
  scored = score(stage, options, student, _encoded(student, path, problems, dropped, options))
  verdicts = selection.select(
    [x.domain for x in scored],
    [x.problem for x in scored],
    [x.tokens for x in scored],
    [x.score for x in scored],
    options.select,
    {domain: teacher.max_traces for domain, teacher in options.teachers.items()},
  )
  kept = {x.index: x for x, verdict in zip(scored, verdicts) if verdict == selection.KEPT}
  for x, verdict in zip(scored, verdicts):
    if verdict != selection.KEPT:
      dropped[x.domain][verdict] += 1
  result = _result(options, problems, scored, kept, dropped)
  if not kept:
    raise ValueError(f'stage {stage.name!r} keeps none of {result["sampled"]} responses: {result["dropped"]}')
  inputs.write_data(
    stage,
    (
      {
        name: value
        for name, value in problems[trace.domain][trace.problem].items()
        if name in KEPT and value is not None
      }
      | {
        'response': trace.response,
        'domain': trace.domain,
        'model': trace.model,
        'tokens': kept[i].tokens,
        'score': round(kept[i].score, 6),
      }
      for i, trace in enumerate(_responses(path, problems))
      if i in kept
    ),
  )
  result |= {'seconds': round(time.time() - started, 1)}
  hosts.say(
    f'{stage.name}: {len(kept)} of {result["sampled"]} responses kept; dropped: '
    + ', '.join(f'{number} {reason}' for reason, number in result['dropped'].items())
  )
  finish(stage, result)
  return result


def sample(stage: Stage, options: Options, problems: dict[str, dict[str, dict]]) -> pathlib.Path:
  """Appends what is not there yet to samples.jsonl: texts of the right responses, counts of the others.

  There is a line for each model and problem. A draw depends on those two alone: chunks and restarts change nothing.
  """
  path = stage.directory / 'samples.jsonl'
  known = set(
    map(
      tuple,
      hosts.agreed(lambda: [(line['domain'], line['model'], line['problem']) for line in inputs.whole_lines(path)]),
    )
  )
  if stage.recipe.rehearsal:
    LOG.info('stage %s, rehearsal: wrong responses are kept too, a random model has no others', stage.name)
  jobs = [(domain, model) for domain, teacher in options.teachers.items() for model in teacher.models]
  left = [
    [row for name, row in problems[domain].items() if (domain, model, name) not in known] for domain, model in jobs
  ]
  total = sum(len(problems[domain]) for domain, _ in jobs)
  bar = progress(total, f'{stage.name}, sampling', total - sum(map(len, left)), unit='problem')
  shown, invalid, judged = False, [], 0
  with inputs.reopen(path) as file:
    for job, (domain, name) in enumerate(jobs):
      teacher = None  # only one of them in memory
      teacher = open_model(stage, name) if left[job] else None
      if teacher and not shown:
        asked.show(stage, teacher.tokenizer, asked.firsts(_every(problems)))
        shown = True
      for rows in _chunks(left[job], options.chunk):
        scored = benchmarks.sample_and_verify(
          teacher,
          rows,
          options.samples,
          options.sampler,
          key=jax.random.fold_in(stage_key(stage), job),
          mesh=stage.mesh,
          pool=stage.pool,
        )
        more, count = benchmarks.invalid_of(scored)
        invalid, judged = invalid + more, judged + count
        refuse_invalid(stage, 'sampling', invalid, judged)
        stopped = scored.responses.stopped_PG
        for p, row in enumerate(rows):
          right = scored.valid_PG[p] & scored.correct_PG[p]
          kept = np.ones_like(right) if stage.recipe.rehearsal else right & stopped[p]
          inputs.append(
            file,
            {
              'domain': domain,
              'model': name,
              'problem': row['id'],
              'no_verdict': int((~scored.valid_PG[p]).sum()),
              'wrong': int((scored.valid_PG[p] & ~scored.correct_PG[p]).sum()),
              # Right, but cut off: SFT would teach to end there.
              'truncated': int((right & ~stopped[p]).sum()),
              'responses': [scored.texts_PG[p][g] for g in np.flatnonzero(kept)],
            },
          )
        bar.update(len(rows))
  bar.close()
  hosts.agreed(storage.put)
  return storage.here(path)


def score(stage: Stage, options: Options, student: Model, traces: Iterator[Encoded]) -> list[Scored]:
  """The learning potential of each trace, -(1 / |y|) sum_t log pi_student(y_t | prompt, y_<t), its end token included.

  Chunks of traces are appended to scores.jsonl under a digest of what was scored.
  """
  path, scored = stage.directory / 'scores.jsonl', []
  known = hosts.agreed(lambda: {line['chunk']: line['scores'] for line in inputs.whole_lines(path)})
  logps = scorer(student.config)
  placed = sharding.batch_sharding(stage.mesh)
  bar = progress(0, f'{stage.name}, scoring', unit='trace')
  with inputs.reopen(path) as file:
    for chunk in _chunks(traces, options.chunk):
      ids = json.dumps([[trace.prompt, trace.tokens] for trace in chunk])
      name = hashlib.sha256(ids.encode()).hexdigest()[:16]
      if name not in known:
        with timeline.phase('train'):
          known[name] = _score_chunk(student, logps, placed, chunk, options)
        inputs.append(file, {'chunk': name, 'scores': known[name]})
      scored += [Scored(x.index, x.domain, x.problem, len(x.tokens), value) for x, value in zip(chunk, known[name])]
      bar.update(len(chunk))
  bar.close()
  return scored


@functools.lru_cache
def scorer(config):
  return jax.jit(
    lambda params, batch: loss.token_scores(config, params, batch)[0], compiler_options=sharding.compiler_options()
  )


def _score_chunk(student: Model, logps, placed, chunk: list[Encoded], options: Options) -> list[float]:
  """Rows of one shape, so that this compiles once; each token is weighted with 1 / |y| of its response."""
  lengths = np.array([[len(trace.tokens)] for trace in chunk])
  tokens = np.zeros((len(chunk), 1, lengths.max()), np.int32)
  for i, trace in enumerate(chunk):
    tokens[i, 0, : len(trace.tokens)] = trace.tokens
  groups = batch_lib.Groups(
    [trace.prompt for trace in chunk], tokens, np.zeros(tokens.shape, np.float32), lengths, np.ones(lengths.shape, bool)
  )
  batches = batch_lib.rl_batches(groups, row_lengths=(options.row_length,), micro_batch=options.micro_batch)
  total = np.zeros(len(chunk))
  for packed, i in ((packed, i) for packed, count in batches for i in range(count)):
    rows = {name: x[i] for name, x in packed.items()}
    there = {name: sharding.place(rows[name], placed) for name in ('tokens', 'targets', 'positions', 'segment_ids')}
    values = -np.asarray(logps(student.params, there), float) * rows['token_weights']
    total += np.bincount(rows['responses'].ravel(), values.ravel(), minlength=len(chunk))
  return total.tolist()


def _samples(path: pathlib.Path, problems: dict) -> Iterator[dict]:
  """The lines of samples.jsonl whose problems are still asked for."""
  return (line for line in inputs.whole_lines(path) if line['problem'] in problems.get(line['domain'], ()))


def _responses(path: pathlib.Path, problems: dict) -> Iterator[Response]:
  """Every right response, read from the file: a run's texts may be larger than memory."""
  for line in _samples(path, problems):
    for response in line['responses']:
      yield Response(line['domain'], line['problem'], line['model'], response)


def _encoded(student: Model, path: pathlib.Path, problems: dict, dropped: dict, options: Options) -> Iterator[Encoded]:
  """The right responses that the cheap tests leave; counts the others in `dropped`."""
  seen = collections.defaultdict(set)
  for i, trace in enumerate(_responses(path, problems)):
    digest = hashlib.sha256(trace.response.encode()).digest()
    row = problems[trace.domain][trace.problem]
    ids, mask = chat.encode_example(student.tokenizer, row | {'response': trace.response})
    count = sum(mask)  # with the end token
    reason = (
      'duplicate'
      if digest in seen[trace.domain, trace.problem]
      else 'too_short'
      if count - 1 < options.min_response_tokens
      else 'too_long'
      if len(ids) - 1 > options.row_length
      else ''
    )
    seen[trace.domain, trace.problem].add(digest)
    if reason:
      dropped[trace.domain][reason] += 1
    else:
      yield Encoded(i, trace.domain, trace.problem, ids[:-count], ids[-count:])


def _every(problems: dict) -> Iterator[dict]:
  return (row for rows in problems.values() for row in rows.values())


def _chunks(items: Iterable, size: int) -> Iterator[list]:
  """Lists of `size` items, the last one shorter."""
  items = iter(items)
  return iter(lambda: list(itertools.islice(items, size)), [])


def _result(options: Options, problems: dict, scored: list[Scored], kept: dict[int, Scored], dropped: dict) -> dict:
  """Counts of all and per domain; means of what is kept beside those of all that was scored."""
  mean = lambda values: round(sum(values) / len(values), 4) if values else None
  domains = {}
  for domain, teacher in options.teachers.items():
    mine, left = ([x for x in some if x.domain == domain] for some in (scored, kept.values()))
    domains[domain] = {
      'problems': len(problems[domain]),
      'sampled': len(problems[domain]) * len(teacher.models) * options.samples,
      'scored': len(mine),
      'kept': len(left),
      'dropped': dropped[domain],
      'mean_score': mean([x.score for x in mine]),
      'mean_score_kept': mean([x.score for x in left]),
      'mean_tokens_kept': mean([x.tokens for x in left]),
    }
  total = lambda name: sum(x[name] for x in domains.values())
  return {
    'sampled': total('sampled'),
    'kept': total('kept'),
    'dropped': {reason: sum(x[reason] for x in dropped.values()) for reason in REASONS},
    'domains': domains,
  }
