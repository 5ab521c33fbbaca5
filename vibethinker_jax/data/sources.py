"""Where training examples and problems come from: synthetic ones, and files in any layout of fields."""

import array
import bisect
import contextlib
import json
import pathlib
import random
import re
from typing import Any, Iterator, Literal, NamedTuple

from vibethinker_jax.config import AboveZero
from vibethinker_jax.data import answers, layouts, livecodebench, rows as rows_lib, synthetic, templates, wording

# Found automatically: the first of these paths that a row has.
PROMPT = 'prompt|problem|question'
RESPONSE = 'response|responses|solution|solutions'
ANSWER = 'answer|reward_model.ground_truth|final_answer|ground_truth|target|expected_answer|gold'
SOLUTION = 'solution'  # its last box is the answer where no such field is
DOMAIN = 'domain'
LOOKED_AT = 1000

EXAMPLE = 'an example needs prompt and response'
PROBLEM = 'a problem needs prompt and answer (or tests, or constraints)'


class DataOptions(NamedTuple):
  """Which files a stage reads and which of their fields.

  A field is a dotted path ('reward_model.ground_truth'), several with '|' between (the first that a row has), or, with
  a brace in it, a template over such paths: '{problem}\\nPut the answer in \\\\boxed{{}}.'; '' finds it.

  Attributes:
    files: paths and globs, with commas between (formats: data.rows); '' is the synthetic problems.
    weights: one for each entry of `files`, their shares of what is drawn; () draws every row once an epoch.
    prompt: text or chat messages; '' is PROMPT, or what stands before the last assistant turn of `messages`. A template
      is all that is asked: nothing is added; in it {options} are the choices as lettered lines, {starter_code} the code.
    response: text, or a list of them, each an example of its own; '' is RESPONSE, or that turn of `messages`. A solution
      in GSM8K's form loses its <<6*7=42>> and ends in \\boxed{42} instead of #### 42: what rewards look for.
    answer: text or a number; '' is ANSWER, else the last box of `solution` (MATH, NuminaMath). After '####' (GSM8K)
      only what follows counts, without its commas; of a text with boxes in it, the last one.
    domain: the name to report a row under; '' is DOMAIN, or the file's name.
    wording: 'papers' asks every row as the papers' protocol does, with what it does not say itself (data.wording); 'none'
      asks it as it stands. A row of SFT is asked as a stage that judges answers would ask it; what that could not judge (a
      conversation without an answer, a proof) stays as it is: nothing is guessed from a response, for published sets mix
      kinds. A row that a stage of ours wrote (`worded` is true in it) is asked as it was, whatever prompt and wording say.
  """
  files: str = ''
  weights: tuple[AboveZero, ...] = ()
  prompt: str = ''
  response: str = ''
  answer: str = ''
  domain: str = ''
  wording: Literal['papers', 'none'] = 'papers'

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

  @property
  def firsts(self) -> dict[str, int]:
    """As of FileExamples, of all."""
    kinds = ['function' if domain == 'code' else 'maths' for domain in self.domains]
    return {kind: kinds.index(kind) for kind in kinds}

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
    self._ends = array.array('Q')  # examples up to and with each row
    for i in rows_lib.bar(len(self._rows), 'reading data'):
      self._ends.append((self._ends[-1] if i else 0) + len(self._read(i)[1]))

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict:
    i = bisect.bisect_right(self._ends, index)
    found, several, _ = self._read(i)
    return {'prompt': found, 'response': several[index - (self._ends[i - 1] if i else 0)]}

  @property
  def firsts(self) -> dict[str, int]:
    """{kind of problem (data.wording): the index of its first example}, of LOOKED_AT rows spread over the files."""
    found = {}
    for i in range(0, len(self._rows), max(1, len(self._rows) // LOOKED_AT)):
      if (begin := self._ends[i - 1] if i else 0) < self._ends[i]:
        found.setdefault(self._read(i)[2], begin)
    return found

  def _read(self, i: int):
    row = self._rows[i]
    with _at(self._rows, i, EXAMPLE):
      several = responses(row, self._options)
      judged = _judged(row, self._options, several)
      found = _question(row, self._options, judged)
    return found['prompt'], several, wording.kind_of(judged, str(found['problem']))

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
    Rows with prompt (what a model is asked), problem (the bare question), answer, tests, id, domain and whatever else the
    row had.

  Raises:
    ValueError: a bad row, with file and line number.
  """
  options = DataOptions(options) if isinstance(options, str) else options
  if options.weights:
    raise ValueError(f'data.weights={options.weights}: problems are drawn evenly, weights are for sft')
  rows = rows_lib.Rows(rows_lib.paths(options.files))
  problems, untested, contradictions = [], [], answers.Contradictions()
  for i in rows_lib.bar(len(rows), 'reading data'):
    row = rows[i]
    with _at(rows, i, PROBLEM):
      try:
        row = layouts.known(row)
      except livecodebench.NoTests:
        untested.append(i)
        continue
      found = _problem(row, options, rows, i)
      if found['answer'] is None and found['tests'] is None and not row.get('constraints'):
        found['answer'] = _of_solution(row, options)
      found['answer'] = found['answer'] or ''
    problems.append(row | found)
    if found['answer'] and found['tests'] is None:
      contradictions.add(found['prompt'], row.get('choices'))
    else:
      contradictions.skip()
  _check_tested(rows, untested)
  _check_contradictions(rows, problems, contradictions)
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


def _check_contradictions(rows: rows_lib.Rows, problems: list[dict], contradictions: answers.Contradictions) -> None:
  """Raises ValueError, with both places, where the same is asked twice with different answers."""
  pairs = contradictions.pairs(lambda p: problems[p]['answer'])
  if pairs:
    first, second = pairs[0]
    told = ' and '.join(repr(problems[p]['answer'][:40]) for p in pairs[0])
    others = ', '.join(map(rows.location, (later for _, later in pairs[1:6]))) + (', ...' if len(pairs) > 6 else '')
    more = f' (and {len(pairs) - 1} more rows like it: {others})' if others else ''
    raise ValueError(f'{rows.location(first)} and {rows.location(second)}: the same prompt with different answers, {told}'
                     f'{more}; one is wrong: correct it or leave it out. It starts with '
                     f'{str(problems[first]["prompt"])[:60]!r}')


def read_traces(options: DataOptions) -> Iterator[dict]:
  """Every response of files with the problem that it answers: prompt, problem, response, answer, tests, domain, and further
  fields of the row for a verifier of your own; answer '' and tests None where a row has neither."""
  used = {'messages', options.prompt, options.response, *f'{PROMPT}|{RESPONSE}'.split('|')}
  rows = rows_lib.Rows(rows_lib.paths(options.files))
  for i in rows_lib.bar(len(rows), 'reading data'):
    row = rows[i]
    with _at(rows, i, EXAMPLE):
      found = _problem(row, options, rows, i, several := responses(row, options))
    for response in several:
      further = {name: value for name, value in row.items() if name not in used and name != 'id'}
      yield further | {name: found[name] for name in ('prompt', 'problem', 'tests', 'domain')} | {
          'answer': found['answer'] or '', 'response': response}


def field(row: dict, option: str) -> Any:
  """What a field option selects, None if nothing; of a template, the text (a list where one of its fields is a list).

  Raises:
    ValueError: a template that is malformed or names what the row lacks.
  """
  return templates.fill(row, option) if '{' in option else templates.lookup(row, option)


def prompt(row: dict, options: DataOptions) -> str | list[dict]:
  """The row's prompt: text, or messages with role and content."""
  value = field(row, options.prompt or PROMPT)
  if value is None and not options.prompt:
    value = conversation(row)[0]
  if isinstance(value, list) and value and all(
      isinstance(m, dict) and isinstance(m.get('role'), str) and isinstance(m.get('content'), str) for m in value):
    return [{'role': m['role'], 'content': m['content']} for m in value]
  if isinstance(value, str) and value.strip():
    return value
  raise _wrong(row, 'prompt', options.prompt or PROMPT, 'text or chat messages', _state(value))


def responses(row: dict, options: DataOptions) -> list[str]:
  """The row's responses, at least one."""
  value = field(row, options.response or RESPONSE)
  if value is None and not options.response:
    value = conversation(row)[1]
  values = value if isinstance(value, list) else [value]
  if not values or not all(isinstance(v, str) and v.strip() for v in values):
    raise _wrong(row, 'response', options.response or RESPONSE, 'text or a list of texts', _state(value))
  return [_boxed(v) for v in values]


def _boxed(response: str) -> str:
  text, marker, last = response.rpartition('\n#### ')
  return re.sub(r'<<[^<>]*>>', '', text) + f'\n\\boxed{{{last.strip()}}}' if marker else response


def answer(row: dict, options: DataOptions) -> str | None:
  """The row's answer as text (of a row with `choices` the letter), None if no field has one.

  Raises:
    ValueError: what is there is no answer: empty, true, false, a list.
  """
  value = field(row, options.answer or ANSWER)
  if value is None:
    return None
  choices = row.get('choices')
  try:
    return answers.letter(value, choices) if isinstance(choices, list) and choices else answers.text(value)
  except ValueError as error:
    raise _wrong(row, 'answer', options.answer or ANSWER, 'text or a number', str(error)) from error


def tests(row: dict) -> dict | None:
  """The row's tests in the form of verify.code; forms it does not know stay as they are."""
  found = row.get('tests')
  if isinstance(found, str) and found:  # parquet sets often hold them as text
    found = json.loads(found)
  if isinstance(found, list):
    return {'cases': found} if found else None
  if isinstance(found, dict) and {'inputs', 'outputs'} <= found.keys() and 'cases' not in found:
    pairs = zip(found['inputs'], found['outputs'], strict=True)
    return {'cases': [{'input': given, 'output': output} for given, output in pairs]}
  return found or None


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
        value = _question(row, DataOptions(wording='none'), row)['problem']
      elif name == 'response':
        value = field(row, RESPONSE) or conversation(row)[1] or []
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


def _problem(row: dict, options: DataOptions, rows: rows_lib.Rows, i: int, responses: list[str] = ()) -> dict:
  (file, number), own, domain = rows.place(i), row.get('id'), field(row, options.domain or DOMAIN)
  if domain is None and options.domain:
    raise _wrong(row, 'domain', options.domain, 'text', _state(None))
  name, judge = pathlib.Path(file.path).name, tests(row)
  automatic = str(number + 1) if len(rows.files) == 1 else f'{name}:{number + 1}'
  return _question(row, options, _judged(row, options, responses)) | {
      'answer': None if judge else answer(row, options), 'tests': judge, 'id': automatic if own is None else str(own),
      'domain': name if domain is None else str(domain)}


def _question(row: dict, options: DataOptions, judged: dict) -> dict:
  """{'prompt': what a model is asked, 'problem': the bare question}; judged: as of _judged."""
  if row.get('worded') is True:
    return {'prompt': (found := prompt(row, DataOptions(prompt='prompt'))), 'problem': row.get('problem') or found}
  if '{' in options.prompt:
    found, bare = prompt(row | wording.fields(judged), options), templates.lookup(row, 'problem|question|prompt')
    return {'prompt': found, 'problem': bare if isinstance(bare, str) and bare.strip() else found}
  bare = prompt(row, options)
  return {'prompt': bare if options.wording == 'none' else wording.asked(bare, judged), 'problem': bare}


def _judged(row: dict, options: DataOptions, responses: list[str] = ()) -> dict:
  """The row with the tests and the answer by which a stage would judge it, None and '' where there is none that it could;
  an answer that is one of the responses is none."""
  found = row | {'tests': None, 'answer': ''}
  with contextlib.suppress(ValueError):  # a problem's is told by those who need it; an example may go without
    found['tests'] = tests(row)
    gold = '' if found['tests'] else answer(row, options) or _of_solution(row, options)
    found['answer'] = '' if gold in responses else gold
  return found


def conversation(row: dict) -> tuple[list | None, str | None]:
  """(what stands before the last assistant turn, that turn) of chat `messages` that end in one."""
  messages = row.get('messages')
  if not isinstance(messages, list) or len(messages) < 2 or not isinstance(messages[-1], dict):
    return None, None
  last = messages[-1]
  return (messages[:-1], last.get('content')) if last.get('role') == 'assistant' else (messages, None)


def _wrong(row: dict, what: str, option: str, kind: str, state: str) -> ValueError:
  names = ', '.join(list(row)[:20]) + (', ...' if len(row) > 20 else '')
  return ValueError(f'{what} ({option!r}) must be {kind}, {state}; found {names or "no fields"}; data.{what} names another '
                    'field')


def _state(value: Any) -> str:
  return 'nothing is there' if value is None else f'it is {type(value).__name__} {repr(value)[:40]}'


@contextlib.contextmanager
def _at(rows: rows_lib.Rows, i: int, needs: str):
  """Puts before an error where the row stands and what it needs."""
  try:
    yield
  except ValueError as error:
    raise ValueError(f'{rows.location(i)}: {needs}; {error}') from error
