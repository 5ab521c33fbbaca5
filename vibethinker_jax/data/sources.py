"""Where training examples and problems come from: synthetic ones, and files in any layout of fields."""

import array
import bisect
from collections.abc import Iterator
import contextlib
import pathlib
import random
from typing import Literal, NamedTuple

import numpy as np

from vibethinker_jax.config import AboveZero
from vibethinker_jax.data import fields as fields_lib, synthetic, turns, wording
from vibethinker_jax.data.fields import PROMPT, RESPONSE, parts
from vibethinker_jax.data.files import index, rows as rows_lib
from vibethinker_jax.data.layouts import answers, families, judge_layouts, livecodebench, readings, response_layouts
from vibethinker_jax.data.layouts.layout_fields import Unusable

DOMAIN = 'domain'

EXAMPLE = 'an example needs prompt and response'
PROBLEM = 'a problem needs prompt and answer (or tests, or constraints)'


class DataOptions(NamedTuple):
  """Which files a stage reads and which of their fields.

  A field is a dotted path ('reward_model.ground_truth'), several with '|' between (the first that a row has), or, with
  a brace in it, a template over such paths: '{problem}\\nPut the answer in \\\\boxed{{}}.'; '' finds it (data.layouts).

  A row that a stage of ours wrote (`worded` is true in it) is asked again exactly as it was, whatever prompt and
  wording.

  Attributes:
    files: paths and globs, with commas between (formats: data.files.formats); '' is the synthetic problems.
    weights: one for each entry of `files`, their shares of what is drawn; () draws every row once an epoch.
    prompt: text or chat messages; '' is PROMPT, or what stands before the last assistant turn of `messages`. A template
      is all that is asked: nothing is added; in it {options} are the choices as lettered lines, {starter_code} the
      code.
    response: text, or a list of them, each an example of its own; '' is RESPONSE, or that turn of `messages`. A
      solution in GSM8K's form loses its <<6*7=42>> and ends in \\boxed{42} instead of #### 42: what rewards look for.
    answer: text or a number; '' is ANSWER, else the last box of `solution` (MATH, NuminaMath). After '####' (GSM8K)
      only what follows counts, without its commas; of a text with boxes in it, the last one.
    domain: the name to report a row under; '' is DOMAIN, or the file's name.
    wording: 'papers' asks every row as the papers' protocol does, with what it does not say itself (data.wording);
      'none' asks it as it stands. A row of SFT is asked as a stage that judges answers would ask it. What such a stage
      could not judge (a conversation without an answer, a proof) stays as its authors worded it: nothing is guessed
      from a response, for published sets mix kinds.
    system: what the system turn says, text or a template as above; it replaces the row's own. '' keeps that: of its
      messages, or its field `system` or `system_prompt`.
    prefix: how the response begins, such as '<think>\\n': a part of what is asked (data.tokens.chat), not of what is
      trained.
  """

  files: str = ''
  weights: tuple[AboveZero, ...] = ()
  prompt: str = ''
  response: str = ''
  answer: str = ''
  domain: str = ''
  wording: Literal['papers', 'none'] = 'papers'
  system: str = ''
  prefix: str = ''

  def conflicts(self):
    if self.system and not self.system.strip():
      yield f"system={self.system!r} must say something, or be ''"
    if turns.LINE_END.search(self.prefix):
      yield f'prefix={self.prefix!r} has a backslash and an n where a line end is meant'
    if self.weights and len(self.weights) != len(rows_lib.entries(self.files)):
      yield (
        f'weights={self.weights} must be one number for each of the {len(rows_lib.entries(self.files))} entries of '
        f'files={self.files!r}, or ()'
      )


class SyntheticExamples:
  """Synthetic problems with one of their worked solutions each: {'prompt', 'response'} by index.

  The solution style is drawn anew for each index, so that over a run the model meets every path to an answer (the
  spectrum of VibeThinker-1.5B §3.3).
  """

  def __init__(
    self,
    domains: tuple[str, ...],
    levels: tuple[int, ...],
    seed: int,
    size: int,
    templates: tuple[str, ...] = (),
    options: DataOptions = DataOptions(),
  ):
    self.domains, self.levels, self.seed, self.size = tuple(domains), tuple(levels), seed, size
    self.options = options
    self.templates = tuple(templates)

  def __len__(self) -> int:
    return self.size

  def __getitem__(self, index: int) -> dict:
    domain = self.domains[index % len(self.domains)]
    row = synthetic.problem(domain, 'train', index, self.seed, self.levels, self.templates)
    responses = row['responses']
    style = random.Random(f'{self.seed}/style/{index}').choice(sorted(responses))
    return turns.asked({'prompt': row['prompt'], 'response': responses[style]}, row, self.options)

  @property
  def firsts(self) -> dict[str, int]:
    """As of FileExamples."""
    kinds = ['function' if domain == 'code' else 'maths' for domain in self.domains]
    return {kind: kinds.index(kind) for kind in dict.fromkeys(kinds)}

  def __repr__(self) -> str:
    return f'SyntheticExamples({self.domains}, {self.levels}, {self.seed}, {self.size}, {self.templates})'


class FileExamples:
  """Examples of files, {'prompt', 'response'} by index (and 'prefix' if the options have one); several responses to a
  prompt are as many examples.

  Every row is looked at once at the start, so that a bad one is found before anything runs.

  Attributes:
    firsts: {kind of problem (data.wording): the index of its first example}.

  Args:
    wrong: lines about bad rows are added to it, and the other rows are kept.

  Raises:
    ValueError: bad rows, with file and line number; without `wrong`.
  """

  def __init__(self, options: DataOptions, wrong: list[str] | None = None):
    self._options = options
    self._rows = rows_lib.Rows(rows_lib.paths(options.files))
    try:
      kept = index.kept(self._rows.paths, repr(options._replace(weights=())), self._look)
    except readings.WrongRows as error:
      readings.refuse(error.lines, wrong)
      kept = error.rest
    self._ends = array.array('Q', kept['ends'].tobytes())  # examples up to and with each row
    self.firsts = dict(zip(kept['kinds'].tolist(), kept['firsts'].tolist()))
    readings.log(kept['said'].tolist())

  def _look(self) -> dict:
    """Reads every row: where its examples end, which are the first of their kinds, and what to say about the files."""
    ends, told, firsts = array.array('Q'), readings.Readings(self._rows, self._options), {}
    for i in rows_lib.bar(len(self._rows), 'reading data'):
      before, several = ends[-1] if i else 0, ()
      try:
        if not told.full(i):
          _, several, kind, reading = self._read(i)
          told.add(i, reading)
          firsts.setdefault(kind, before)
      except Unusable as error:
        told.leave_out(i, error)
      except ValueError as error:
        told.add_wrong(i, error)
      ends.append(before + len(several))
    told.check(EXAMPLE)
    found = {
      'ends': ends,
      'said': told.lines(('prompt', 'response')),
      'kinds': list(firsts),
      'firsts': list(firsts.values()),
    }
    readings.refuse(told.wrong(), None, {name: np.asarray(value) for name, value in found.items()})  # not kept
    return found

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict:
    i = bisect.bisect_right(self._ends, index)
    found, several, _, _ = self._read(i)
    return found | {'response': several[index - (self._ends[i - 1] if i else 0)]}

  def _read(self, i: int) -> tuple[dict, list[str], str, families.Reading]:
    """({'prompt', 'prefix'}, the responses, the kind of problem, what the layouts say) of a row."""
    row, options = self._rows[i], self._options
    with _at(self._rows, i, EXAMPLE):
      reading = families.read(row, parts(options, 'prompt', 'response'))
      several = fields_lib.responses(row, options, reading)
      judged = fields_lib.judged(row, options, reading.fields | fields_lib.judging(row, options), several)
      found = fields_lib.question(row, options, reading, judged)
      kind = wording.kind_of(judged, str(found['problem']))
      return {name: found[name] for name in ('prompt', 'prefix') if name in found}, several, kind, reading

  def __repr__(self) -> str:
    return f'FileExamples({self._options.files}: {len(self._rows)} rows, {len(self)} examples)'


def examples(options: DataOptions, wrong: list[str] | None = None) -> list[FileExamples]:
  """The sources of a data option: one for each entry that has a weight, or one for all files.

  Args:
    wrong: as of FileExamples.

  Raises:
    ValueError: a bad file or row, or weights that do not fit the files.
  """
  if not options.weights:
    return [FileExamples(options, wrong)]
  named = rows_lib.entries(options.files)
  if len(options.weights) != len(named) or not all(isinstance(w, (int, float)) and w > 0 for w in options.weights):
    raise ValueError(
      f'data.weights={options.weights} must be positive, one for each of the {len(named)} entries of '
      f'data.files={options.files!r}'
    )
  return [FileExamples(options._replace(files=entry, weights=()), wrong) for entry in named]


def read_problems(options: DataOptions | str, wrong: list[str] | None = None) -> list[dict]:
  """Problems to answer.

  Each row has a prompt, and an answer, or `tests` for code (see verify.code; also a list of cases, or lists `inputs`
  and `outputs`), or `constraints` (see verify.constraints), or is in a layout that data.layouts knows.
  `id` is optional, further fields are kept for your own verifier.

  Args:
    options: or just their `files`. wrong: as of FileExamples.

  Returns:
    Rows with prompt (what a model is asked), problem (the bare question), answer, tests, id, domain, prefix where the
    options have one, and whatever else the row had.

  Raises:
    ValueError: bad rows, with file and line number.
  """
  options = DataOptions(options) if isinstance(options, str) else options
  if options.weights:
    raise ValueError(f'data.weights={options.weights}: problems are drawn evenly, weights are for sft')
  rows = rows_lib.Rows(rows_lib.paths(options.files))
  problems, numbers, untested, contradictions = [], [], [], answers.Contradictions()
  told = readings.Readings(rows, options)
  for i in rows_lib.bar(len(rows), 'reading data'):
    if told.full(i):
      continue
    try:
      row = rows[i]
      with _at(rows, i, PROBLEM):
        reading = families.read(row, parts(options, 'prompt', 'answer'))
        found = _problem(row, options, rows, i, reading)
        whole = row | reading.fields
        if found['answer'] is None and found['tests'] is None and not whole.get('constraints'):
          found['answer'] = fields_lib.of_solution(whole, options)
        found['answer'] = found['answer'] or ''
        whole = {name: value for name, value in whole.items() if name != 'prefix'} | found  # a row's own is not ours
    except livecodebench.NoTests:
      untested.append(i)
      continue
    except Unusable as error:
      told.leave_out(i, error)
      continue
    except ValueError as error:
      told.add_wrong(i, error)
      continue
    told.add(i, reading)
    problems.append(whole)
    numbers.append(i)
    if found['answer'] and found['tests'] is None:
      contradictions.add(found['problem'], whole.get('choices'))
    else:
      contradictions.skip()
  faults = told.wrong() + _untested(rows, untested) + _contradictory(rows, problems, numbers, contradictions)
  readings.refuse(faults, wrong)
  if not faults:
    told.check(PROBLEM)
  readings.log(told.lines(('prompt', 'answer')))
  return problems


def _untested(rows: rows_lib.Rows, untested: list[int]) -> list[str]:
  """A line, with their places, if programming problems have neither tests nor samples."""
  if untested:
    places = ', '.join(map(rows.location, untested[:10])) + (', ...' if len(untested) > 10 else '')
    return [
      f'{len(untested)} of {len(rows)} rows have no tests, and no sample tests can be read from their statement '
      f'({places}): {livecodebench.WHERE}'
    ]
  return []


def _contradictory(
  rows: rows_lib.Rows, problems: list[dict], numbers: list[int], contradictions: answers.Contradictions
) -> list[str]:
  """A line, with both places, if the same is asked twice with different answers."""
  pairs = contradictions.pairs(lambda p: problems[p]['answer'])
  if pairs:
    first, second = pairs[0]
    told = ' and '.join(repr(problems[p]['answer'][:40]) for p in pairs[0])
    others = ', '.join(rows.location(numbers[later]) for _, later in pairs[1:6]) + (', ...' if len(pairs) > 6 else '')
    more = f' (and {len(pairs) - 1} more rows like it: {others})' if others else ''
    return [
      f'{rows.location(numbers[first])} and {rows.location(numbers[second])}: the same prompt with different '
      f'answers, {told}{more}; one is wrong: correct it or leave it out. It starts with '
      f'{str(problems[first]["prompt"])[:60]!r}'
    ]
  return []


def read_traces(options: DataOptions, wrong: list[str] | None = None) -> Iterator[dict]:
  """Every response of files with the problem that it answers: prompt, problem, response, answer, tests, domain, prefix
  where the options have one, and further fields of the row for a verifier of your own; answer '' and tests None where a
  row has neither. Bad rows are told at the end; `wrong`: as of FileExamples."""
  rows = rows_lib.Rows(rows_lib.paths(options.files))
  told = readings.Readings(rows, options)
  for i in rows_lib.bar(len(rows), 'reading data'):
    if told.full(i):
      continue
    try:
      row = rows[i]
      with _at(rows, i, EXAMPLE):
        reading = families.read(row, parts(options, *families.PARTS))
        several = fields_lib.responses(row, options, reading)
        found = _problem(row, options, rows, i, reading, several)
    except Unusable as error:
      told.leave_out(i, error)
      continue
    except ValueError as error:
      told.add_wrong(i, error)
      continue
    told.add(i, reading)
    read = {name for part in ('prompt', 'response') if part in reading.parts for name in reading.parts[part].used}
    used = {
      'messages',
      'id',
      'prefix',
      'responses',
      options.prompt,
      options.response,
      *f'{PROMPT}|{RESPONSE}'.split('|'),
      *read,
      *response_layouts.candidates(row),
    }
    further = {name: value for name, value in (row | reading.fields).items() if name not in used}
    mine = {name: value for name, value in found.items() if name != 'id'} | {'answer': found['answer'] or ''}
    for response in several:
      yield further | mine | {'response': response}
  told.check(EXAMPLE)
  readings.refuse(told.wrong(), wrong)
  readings.log(told.lines(families.PARTS))


def _problem(
  row: dict, options: DataOptions, rows: rows_lib.Rows, i: int, reading: families.Reading, responses: list[str] = ()
) -> dict:
  (file, number), own = rows.place(i), (row | reading.fields).get('id')
  judge = fields_lib.judge(row, options, reading.fields)
  name, domain = pathlib.Path(file.path).name, judge_layouts.one_name(fields_lib.field(row, options.domain or DOMAIN))
  if domain is None and options.domain:
    raise fields_lib.wrong(row, 'domain', options.domain, 'text', fields_lib.state(None))
  automatic = str(number + 1) if len(rows.files) == 1 else f'{name}:{number + 1}'
  gold = None if judge else fields_lib.answer(row, options, reading.fields)
  judged = fields_lib.judged(row, options, reading.fields, responses)
  return fields_lib.question(row, options, reading, judged) | {
    'answer': gold,
    'tests': judge,
    'id': automatic if own is None else str(own),
    'domain': name if domain is None else domain,
  }


@contextlib.contextmanager
def _at(rows: rows_lib.Rows, i: int, needs: str):
  """Puts before an error where the row stands and what it needs."""
  try:
    yield
  except (Unusable, livecodebench.NoTests):  # said by who reads, for all such rows together
    raise
  except ValueError as error:
    raise ValueError(f'{rows.location(i)}: {needs}; {error}') from error
