"""Where training examples and problems come from: synthetic ones, and files in any layout of fields."""

import array
import bisect
import contextlib
import pathlib
import random
import re
from typing import Any, Iterator, NamedTuple

from vibethinker_jax.config import AboveZero
from vibethinker_jax.data import (answers, chat_layouts, code_layouts, index, judge_layouts, layouts, livecodebench,
                                  readings, response_layouts, rows as rows_lib, synthetic, templates)
from vibethinker_jax.data.layout_fields import Unusable

# Found automatically: the first of these paths that a row has, where data.layouts does not say otherwise.
PROMPT = 'prompt|problem|question'
RESPONSE = 'response|responses|solution|solutions'
ANSWER = '|'.join(judge_layouts.ANSWERS)
SOLUTION = 'solution'  # its last box is the answer where no such field is
DOMAIN = 'domain'

EXAMPLE = 'an example needs prompt and response'
PROBLEM = 'a problem needs prompt and answer (or tests, or constraints)'


class DataOptions(NamedTuple):
  """Which files a stage reads and which of their fields.

  A field is a dotted path ('reward_model.ground_truth'), several with '|' between (the first that a row has), or, with
  a brace in it, a template over such paths: '{problem}\\nPut the answer in \\\\boxed{{}}.'; '' finds it (data.layouts).

  Attributes:
    files: paths and globs, with commas between (formats: data.rows); '' is the synthetic problems.
    weights: one for each entry of `files`, their shares of what is drawn; () draws every row once an epoch.
    prompt: text or chat messages; '' is PROMPT, or what stands before the last assistant turn of `messages`.
    response: text, or a list of them, each an example of its own; '' is RESPONSE, or that turn of `messages`. A solution
      in GSM8K's form loses its <<6*7=42>> and ends in \\boxed{42} instead of #### 42: what rewards look for.
    answer: text or a number; '' is ANSWER, else the last box of `solution` (MATH, NuminaMath). After '####' (GSM8K)
      only what follows counts, without its commas; of a text with boxes in it, the last one.
    domain: the name to report a row under; '' is DOMAIN, or the file's name.
  """
  files: str = ''
  weights: tuple[AboveZero, ...] = ()
  prompt: str = ''
  response: str = ''
  answer: str = ''
  domain: str = ''

  def conflicts(self):
    if self.weights and len(self.weights) != len(rows_lib.entries(self.files)):
      yield (f'weights={self.weights} must be one number for each of the {len(rows_lib.entries(self.files))} entries of '
             f'files={self.files!r}, or ()')


class SyntheticExamples:
  """Synthetic problems with one of their worked solutions each: {'prompt', 'response'} by index.

  The solution style is drawn anew for each index, so that over a run the model meets every path to an answer (the
  spectrum of VibeThinker-1.5B §3.3).
  """

  def __init__(self, domains: tuple[str, ...], levels: tuple[int, ...], seed: int, size: int,
               templates: tuple[str, ...] = ()):
    self.domains, self.levels, self.seed, self.size = tuple(domains), tuple(levels), seed, size
    self.templates = tuple(templates)

  def __len__(self) -> int:
    return self.size

  def __getitem__(self, index: int) -> dict:
    domain = self.domains[index % len(self.domains)]
    row = synthetic.problem(domain, 'train', index, self.seed, self.levels, self.templates)
    responses = row['responses']
    style = random.Random(f'{self.seed}/style/{index}').choice(sorted(responses))
    return {'prompt': row['prompt'], 'response': responses[style]}

  def __repr__(self) -> str:
    return f'SyntheticExamples({self.domains}, {self.levels}, {self.seed}, {self.size}, {self.templates})'


class FileExamples:
  """Examples of files, {'prompt', 'response'} by index; several responses to a prompt are as many examples.

  Every row is looked at once at the start, so that a bad one is found before anything runs.

  Raises:
    ValueError: a bad row, with file and line number.
  """

  def __init__(self, options: DataOptions):
    self._options = options
    self._rows = rows_lib.Rows(rows_lib.paths(options.files))
    kept = index.kept(self._rows.paths, repr(options._replace(weights=())), self._look)
    self._ends = array.array('Q', kept['ends'].tobytes())  # examples up to and with each row
    readings.log(kept['said'].tolist())

  def _look(self) -> dict:
    """Reads every row: where its examples end, and what to say about the files."""
    ends, told = array.array('Q'), readings.Readings(self._rows, self._options)
    for i in rows_lib.bar(len(self._rows), 'reading data'):
      count = 0
      try:
        with _at(self._rows, i, EXAMPLE):
          row = self._rows[i]
          reading = layouts.read(row, _parts(self._options, 'prompt', 'response'))
          prompt(row, self._options, reading)
          count = len(responses(row, self._options, reading))
          told.add(i, reading)
      except Unusable as error:
        told.leave_out(i, error)
      ends.append((ends[-1] if i else 0) + count)
    told.check(EXAMPLE)
    return {'ends': ends, 'said': told.lines(('prompt', 'response'))}

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict:
    i = bisect.bisect_right(self._ends, index)
    found, responses = self._read(i)
    return {'prompt': found, 'response': responses[index - (self._ends[i - 1] if i else 0)]}

  def _read(self, i: int):
    row = self._rows[i]
    with _at(self._rows, i, EXAMPLE):
      reading = layouts.read(row, _parts(self._options, 'prompt', 'response'))
      return prompt(row, self._options, reading), responses(row, self._options, reading)

  def __repr__(self) -> str:
    return f'FileExamples({self._options.files}: {len(self._rows)} rows, {len(self)} examples)'


def examples(options: DataOptions) -> list[FileExamples]:
  """The sources of a data option: one for each entry that has a weight, or one for all files.

  Raises:
    ValueError: a bad file or row, or weights that do not fit the files.
  """
  if not options.weights:
    return [FileExamples(options)]
  named = rows_lib.entries(options.files)
  if len(options.weights) != len(named) or not all(
      isinstance(w, (int, float)) and w > 0 for w in options.weights):
    raise ValueError(f'data.weights={options.weights} must be positive, one for each of the {len(named)} entries of '
                     f'data.files={options.files!r}')
  return [FileExamples(options._replace(files=entry, weights=())) for entry in named]


def read_problems(options: DataOptions | str) -> list[dict]:
  """Problems to answer.

  Each row has a prompt, and an answer, or `tests` for code (see verify.code; also a list of cases, or lists `inputs`
  and `outputs`), or `constraints` (see verify.constraints), or is in a layout that data.layouts knows.
  `id` is optional, further fields are kept for your own verifier.

  Args:
    options: or just their `files`.

  Returns:
    Rows with prompt, answer, tests, id, domain and whatever else the row had.

  Raises:
    ValueError: a bad row, with file and line number.
  """
  options = DataOptions(options) if isinstance(options, str) else options
  if options.weights:
    raise ValueError(f'data.weights={options.weights}: problems are drawn evenly, weights are for sft')
  rows = rows_lib.Rows(rows_lib.paths(options.files))
  problems, numbers, untested, contradictions = [], [], [], answers.Contradictions()
  told = readings.Readings(rows, options)
  for i in rows_lib.bar(len(rows), 'reading data'):
    row = rows[i]
    try:
      with _at(rows, i, PROBLEM):
        reading = layouts.read(row, _parts(options, 'prompt', 'answer'))
        found = _problem(row, options, rows, i, reading)
        row = row | reading.fields
        if found['answer'] is None and found['tests'] is None and not row.get('constraints'):
          found['answer'] = _of_solution(row, options)
        found['answer'] = found['answer'] or ''
    except livecodebench.NoTests:
      untested.append(i)
      continue
    except Unusable as error:
      told.leave_out(i, error)
      continue
    told.add(i, reading)
    problems.append(row | found)
    numbers.append(i)
    if found['answer'] and found['tests'] is None:
      contradictions.add(found['prompt'], row.get('choices'))
    else:
      contradictions.skip()
  _check_tested(rows, untested)
  told.check(PROBLEM)
  _check_contradictions(rows, problems, numbers, contradictions)
  readings.log(told.lines(('prompt', 'answer')))
  return problems


def _of_solution(row: dict, options: DataOptions) -> str:
  if options.answer or templates.lookup(row, ANSWER) is not None or templates.lookup(row, SOLUTION) is None:
    raise _wrong(row, 'answer', options.answer or ANSWER, 'text or a number', 'nothing is there')
  solution = row[SOLUTION][0] if isinstance(row[SOLUTION], list) and len(row[SOLUTION]) == 1 else row[SOLUTION]
  try:
    return answers.of_solution(solution if isinstance(solution, str) else '')
  except ValueError as error:
    raise _wrong(row, 'answer', ANSWER, 'text or a number', f'nothing is there, and {error}') from error


def _check_tested(rows: rows_lib.Rows, untested: list[int]) -> None:
  """Raises ValueError, with their places, where programming problems have neither tests nor samples."""
  if untested:
    places = ', '.join(map(rows.location, untested[:10])) + (', ...' if len(untested) > 10 else '')
    raise ValueError(f'{len(untested)} of {len(rows)} rows have no tests, and no sample tests can be read from their '
                     f'statement ({places}): {livecodebench.WHERE}')


def _check_contradictions(rows: rows_lib.Rows, problems: list[dict], numbers: list[int],
                          contradictions: answers.Contradictions) -> None:
  """Raises ValueError, with both places, where the same is asked twice with different answers."""
  pairs = contradictions.pairs(lambda p: problems[p]['answer'])
  if pairs:
    first, second = pairs[0]
    told = ' and '.join(repr(problems[p]['answer'][:40]) for p in pairs[0])
    others = ', '.join(rows.location(numbers[later]) for _, later in pairs[1:6]) + (', ...' if len(pairs) > 6 else '')
    more = f' (and {len(pairs) - 1} more rows like it: {others})' if others else ''
    raise ValueError(f'{rows.location(numbers[first])} and {rows.location(numbers[second])}: the same prompt with different '
                     f'answers, {told}{more}; one is wrong: correct it or leave it out. It starts with '
                     f'{str(problems[first]["prompt"])[:60]!r}')


def read_traces(options: DataOptions) -> Iterator[dict]:
  """Every response of files with the problem that it answers: prompt, response, answer, tests, domain, and further
  fields of the row for a verifier of your own; answer '' and tests None where a row has neither."""
  rows = rows_lib.Rows(rows_lib.paths(options.files))
  told = readings.Readings(rows, options)
  for i in rows_lib.bar(len(rows), 'reading data'):
    row = rows[i]
    try:
      with _at(rows, i, EXAMPLE):
        reading = layouts.read(row, _parts(options, *layouts.PARTS))
        found, several = _problem(row, options, rows, i, reading), responses(row, options, reading)
    except Unusable as error:
      told.leave_out(i, error)
      continue
    told.add(i, reading)
    read = {name for part in ('prompt', 'response') if part in reading.parts for name in reading.parts[part].used}
    used = {'messages', 'id', 'responses', options.prompt, options.response, *f'{PROMPT}|{RESPONSE}'.split('|'), *read,
            *response_layouts.candidates(row)}
    further = {name: value for name, value in (row | reading.fields).items() if name not in used}
    for response in several:
      yield further | {name: found[name] for name in ('prompt', 'tests', 'domain')} | {
          'answer': found['answer'] or '', 'response': response}
  told.check(EXAMPLE)
  readings.log(told.lines(layouts.PARTS))


def _parts(options: DataOptions, *parts: str) -> tuple[str, ...]:
  """Those of the parts that no field option names: in them what the layouts find counts."""
  return tuple(part for part in parts if not getattr(options, part))


def field(row: dict, option: str) -> Any:
  """What a field option selects, None if nothing; of a template, the text (a list where one of its fields is a list).

  Raises:
    ValueError: a template that is malformed or names what the row lacks.
  """
  return templates.fill(row, option) if '{' in option else templates.lookup(row, option)


def _both(row: dict, fields: dict) -> dict:
  """The row as the file has it, with what the layouts add to it."""
  return row | {name: value for name, value in fields.items() if name not in row}


def prompt(row: dict, options: DataOptions, reading: layouts.Reading | None = None) -> str | list[dict]:
  """The row's prompt: text, or messages with role and content.

  Args:
    row: as the file has it. reading: what the layouts say about it, if that is known.
  """
  fields = (reading or layouts.read(row, _parts(options, 'prompt'))).fields
  if options.prompt:
    value = field(_both(row, fields), options.prompt)
    value = chat_layouts.before_answer(value) or value
  else:
    value = fields.get('problem', templates.lookup(row, PROMPT))
  if isinstance(value, list) and value and all(
      isinstance(m, dict) and isinstance(m.get('role'), str) and isinstance(m.get('content'), str) for m in value):
    value = [{name: m[name] for name in ('role', 'content')} for m in value]
  elif not isinstance(value, str) or not value.strip():
    raise _wrong(row, 'prompt', options.prompt or PROMPT, 'text or chat messages', _state(value))
  return chat_layouts.with_system(value, fields.get('system'))


def responses(row: dict, options: DataOptions, reading: layouts.Reading | None = None) -> list[str]:
  """The row's responses, at least one. Arguments: as of `prompt`."""
  fields = (reading or layouts.read(row, _parts(options, 'response'))).fields
  if options.response:
    value = field(_both(row, fields), options.response)
    value = response_layouts.of_conversation(value) or value
  else:
    value = fields['responses'] if 'responses' in fields else templates.lookup(row, RESPONSE)
  values = value if isinstance(value, list) else [value]
  if not values or not all(isinstance(v, str) and v.strip() for v in values):
    raise _wrong(row, 'response', options.response or RESPONSE, 'text or a list of texts', _state(value))
  return [response_layouts.boxed(v) for v in values]


def answer(row: dict, options: DataOptions, fields: dict) -> str | None:
  """The row's answer as text (of a row with `choices` the letter), None if no field has one.

  Args:
    row: as the file has it. fields: what the layouts add.

  Raises:
    ValueError: what is there is no answer: empty, true, false, a list, tests.
  """
  found = fields.get('answer', templates.lookup(row, ANSWER))
  value = field(_both(row, fields), options.answer) if options.answer else found
  if value is None:
    return None
  choices = fields.get('choices', row.get('choices'))
  try:
    return answers.letter(value, choices) if isinstance(choices, list) and choices else answers.text(value)
  except ValueError as error:
    raise _wrong(row, 'answer', options.answer or ANSWER, 'text or a number', str(error)) from error


def texts(rows: rows_lib.Rows, i: int, fields: list[str], remedy: str) -> list[str]:
  """The texts of a row's fields; of chat messages those of all but the system, which says the same in every row.

  Args:
    fields: as of a field option; 'prompt' and 'response' are found. remedy: the end of an error's line.

  Raises:
    ValueError: a field that is no text.
  """
  row, found = rows[i], []
  for name in fields:
    try:
      if name == 'prompt':
        value = prompt(row, DataOptions())
      elif name == 'response':
        value = response_layouts.every(row) or templates.lookup(row, RESPONSE) or []
      else:
        value = field(row, name)
    except ValueError as error:
      raise ValueError(f'{rows.location(i)}: {error}; {remedy}') from error
    values = [x.get('content') if isinstance(x, dict) else x for x in (value if isinstance(value, list) else [value])
              if not (isinstance(x, dict) and x.get('role') == 'system')]
    if not all(isinstance(v, str) for v in values):
      raise ValueError(f'{rows.location(i)}: the field {name!r} must be text, texts or chat messages; found '
                       f'{", ".join(row)}; {remedy}')
    found += values
  return found


def _problem(row: dict, options: DataOptions, rows: rows_lib.Rows, i: int, reading: layouts.Reading) -> dict:
  (file, number), whole = rows.place(i), row | reading.fields
  own, judge = whole.get('id'), _judge(row, options, reading)
  name, domain = pathlib.Path(file.path).name, judge_layouts.one_name(field(row, options.domain or DOMAIN))
  if domain is None and options.domain:
    raise _wrong(row, 'domain', options.domain, 'text', _state(None))
  automatic = str(number + 1) if len(rows.files) == 1 else f'{name}:{number + 1}'
  return {'prompt': prompt(row, options, reading), 'answer': None if judge else answer(row, options, reading.fields),
          'tests': judge, 'id': automatic if own is None else str(own), 'domain': name if domain is None else domain}


def _judge(row: dict, options: DataOptions, reading: layouts.Reading) -> dict | None:
  """The row's tests; where an option names the answer, tests that stand there, or else none if an answer does."""
  named = field(_both(row, reading.fields), options.answer) if options.answer else None
  if named is None:
    return code_layouts.plain(row | reading.fields)
  return code_layouts.read(named, row | reading.fields)


def _wrong(row: dict, what: str, option: str, kind: str, state: str) -> ValueError:
  names = ', '.join(list(row)[:20]) + (', ...' if len(row) > 20 else '')
  return ValueError(f'{what} ({option!r}) must be {kind}, {state}; found {names or "no fields"}; data.{what} names another '
                    f'field (of the evaluate command: --{what}_field)')


def _state(value: Any) -> str:
  return 'nothing is there' if value is None else f'it is {type(value).__name__} {repr(value)[:40]}'


@contextlib.contextmanager
def _at(rows: rows_lib.Rows, i: int, needs: str):
  """Puts before an error where the row stands and what it needs."""
  try:
    yield
  except (Unusable, livecodebench.NoTests):  # said by who reads, for all such rows together
    raise
  except ValueError as error:
    raise ValueError(f'{rows.location(i)}: {needs}; {error}') from error
