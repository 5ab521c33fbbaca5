"""Every file that the stages of a recipe read, read whole and measured before the first of them: a wrong row, or a
prompt that does not fit, would else end the run at the step that draws it, days later.

Read by the very functions that the stages use. A prompt has at most as many tokens as bytes (and its template's): only
those that could be too long by that are tokenised.
"""

from collections.abc import Iterator
import hashlib
import json
import os
import pathlib
import sys
from typing import NamedTuple

import tqdm

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import sources
from vibethinker_jax.data.files import rows as rows_lib
from vibethinker_jax.data.tokens import chat
from vibethinker_jax.programs import filter as filter_lib, recipe as recipe_lib
from vibethinker_jax.runtime import hosts, hub
from vibethinker_jax.verify import default

READ = (
  'read.json'  # of a workdir: what was found in order, by digests of the files and of what they were measured against
)


class Part(NamedTuple):
  """What one stage reads of files, and what its rows must fit.

  Attributes:
    stage: its name. where: that, or what in it reads: 'distill.teachers.code'.
    kind: which function reads: 'examples', 'traces' or 'problems'. data: without entries that are stages.
    root: the model whose tokenizer measures: 'scratch' or a path.
    rooms: (field with its value, tokens that a prompt, of examples with its response, may have).
    drop: rows that are too long are left out by the stage itself. verified: by verify.response, whose rows can be
      checked.
  """

  stage: str
  where: str
  kind: str
  data: sources.DataOptions
  root: str
  rooms: tuple[tuple[str, int], ...]
  drop: bool = False
  verified: bool = False


class Found(NamedTuple):
  """rows: examples, traces or problems in the files. longest: tokens of the longest prompt, 0: not measured. first: a
  row.
  faults: lines about wrong rows; long: about rows that are too long; none where all is in order."""

  rows: int
  longest: int
  first: dict | None
  faults: list[str]
  long: list[str]


def parts(recipe: config_lib.Recipe, options: dict, stages) -> list[Part]:
  """What the named stages read of files, in their order."""
  found = []
  for name in stages:
    values = options[name]
    kind = {'sft': 'examples', 'filter': 'traces'}.get(values.program, 'problems')
    model = next((model for _, model in recipe_lib.models(values)), getattr(values, 'init_from', 'base'))
    whole = (name, values.data, model) if hasattr(values, 'data') else ()
    teachers = [
      (f'{name}.teachers.{domain}', x.data, x.models[0]) for domain, x in getattr(values, 'teachers', {}).items()
    ]
    for where, data, model in filter(None, (whole, *teachers)):
      data = _of_files(data, recipe.stages)
      if data.files:
        found.append(
          Part(
            name,
            where,
            kind,
            data,
            root(model, recipe, options),
            _rooms(name, values),
            getattr(values, 'too_long', 'error') == 'drop',
            recipe.verifier == default.NAME,
          )
        )
  return found


def root(model: str, recipe: config_lib.Recipe, options: dict) -> str:
  """Where the tokenizer of a model comes from: 'scratch' or a path."""
  name = model if hub.is_name(model) else model.partition('@')[0]
  while name in options:
    model = options[name].init_from
    name = model if hub.is_name(model) else model.partition('@')[0]
  return recipe.base if name == 'base' else name


def _of_files(data: sources.DataOptions, stages: tuple) -> sources.DataOptions:
  entries = rows_lib.entries(data.files)
  kept = [i for i, entry in enumerate(entries) if entry not in stages]
  weights = tuple(data.weights[i] for i in kept) if data.weights else ()
  return data._replace(files=','.join(entries[i] for i in kept), weights=weights)


def _rooms(name: str, values) -> tuple[tuple[str, int], ...]:
  if values.program == 'sft':
    return ((f'{name}.length={values.length}', values.length + 1),)
  if values.program == 'filter' and not values.samples:
    return ()
  sampler, found = values.sampler, []
  if sampler.prompt_columns:
    found.append((f'{name}.sampler.prompt_columns={sampler.prompt_columns}', sampler.prompt_columns))
  if sampler.columns:
    found.append((f'{name}.sampler.columns={sampler.columns}', sampler.columns - sampler.max_tokens))
  if values.program == 'rl' and not values.share_prompts:
    found.append((f'{name}.row_length={values.row_length}', values.row_length - sampler.max_tokens + 1))
  return tuple(found)


class Lengths:
  """How many tokens prompts have: bounds that take no time, and their number."""

  def __init__(self, tokenizer):
    self._tokenizer, self._skeletons = tokenizer, {}
    # Normalisation makes text that is not ASCII longer: NFC three times in UTF-8 at most, NFKC eleven times.
    compatible = b'"NFK' in tokenizer.files().get('tokenizer.json', b'')
    self._growth = 12 if compatible else 3

  def most(self, row: dict) -> float:
    """Not fewer than `exactly`."""
    turns = chat.messages(row)
    roles = tuple((m['role'], bool(m['content'])) for m in turns)
    if roles not in self._skeletons:
      self._skeletons[roles] = self._skeleton(turns)
    return (
      self._skeletons[roles] + sum(self.bytes(m['content']) for m in turns) + self.bytes(str(row.get('prefix') or ''))
    )

  def bytes(self, text: str) -> int:
    return len(text) if text.isascii() else self._growth * len(text.encode())

  def exactly(self, row: dict) -> int:
    return len(self._ids(row))

  def of_example(self, row: dict) -> int:
    return len(chat.encode_example(self._tokenizer, row)[0])

  def _ids(self, row: dict) -> list[int]:
    return chat.encode_prompt(self._tokenizer, row)

  def _skeleton(self, turns: list[dict]) -> float:
    """Tokens around the contents; infinity for a template that does not show each content once, as it is."""
    mark = 'zqxjkvb'
    ids = self._ids({'prompt': [m | {'content': mark if m['content'] else ''} for m in turns]})
    shown = sum(bool(m['content']) for m in turns)
    return len(ids) + 4 * len(turns) if self._tokenizer.decode(ids).count(mark) == shown else float('inf')


def sample(part: Part, folder: pathlib.Path, count: int = 6, looked_at: int = 24) -> Part:
  """The part with a few rows of each entry of its files, as they stand there, in a file of the same name in the folder.

  They are spread over the entry's rows; of those the ones that are not much longer than others.
  """
  folder.mkdir(parents=True, exist_ok=True)
  entries, written = rows_lib.entries(part.data.files), []
  for n, entry in enumerate(entries):
    rows = rows_lib.Rows(rows_lib.paths(entry))
    raw = [rows.raw(i) for i in _spread(range(len(rows)), looked_at)]
    usual = 2 * sorted(map(len, raw))[len(raw) // 2]
    few = _spread([x for x in raw if len(x) <= usual], count)
    name = pathlib.Path(rows.files[0].path).name.split('.')[0].replace(',', '_')
    written.append(folder / f'{f"{n}_" if len(entries) > 1 else ""}{name}.jsonl')
    written[-1].write_text(''.join(json.dumps(json.loads(x)) + '\n' for x in few))
  return part._replace(data=part.data._replace(files=','.join(map(str, written))))


def _spread(items, count: int) -> list:
  """At most `count` of the items, from the whole of them, the first always."""
  return list(items) if len(items) <= count else [items[i * len(items) // count] for i in range(count)]


def tokens(part: Part, lengths: Lengths) -> list[int]:
  """Of each prompt, of examples with its response."""
  measure = lengths.of_example if part.kind == 'examples' else lengths.exactly
  return list(map(measure, _rows(part)))


def read(part: Part, lengths: Lengths, longest: bool = False) -> Found:
  """Reads and measures all rows of a part.

  Args:
    longest: find the tokens of the longest prompt also where all fit.
  """
  try:
    return _measured(part, lengths, longest)
  except ValueError as error:  # a file that cannot be read: the others are looked at one by one
    return _apart(part, lengths) or Found(0, 0, None, [str(error)], [])


def _rows(part: Part, wrong: list[str] | None = None) -> Iterator[dict]:
  """Rows with a prompt, of examples and traces with a response, one after the other; faults of files come first.

  Args:
    wrong: lines about bad rows are added to it instead of raised.
  """
  if part.kind == 'traces':
    return sources.read_traces(part.data, wrong)
  found = sources.examples(part.data, wrong) if part.kind == 'examples' else [sources.read_problems(part.data, wrong)]
  return (rows[i] for rows in found for i in _bar(len(rows)))


def _apart(part: Part, lengths: Lengths) -> Found | None:
  """What is wrong with each of the files alone; None if it is wrong only of all of them together."""
  faults, long, paths = [], [], []
  for entry in rows_lib.entries(part.data.files):
    try:
      paths += rows_lib.paths(entry)
    except ValueError as error:
      faults.append(str(error))
  for path in paths if faults or len(paths) > 1 else ():
    try:
      alone = part._replace(data=part.data._replace(files=path.replace(',', '?'), weights=()))
      found = _measured(alone, lengths, False)
      faults, long = faults + found.faults, long + found.long
    except ValueError as error:
      faults.append(str(error))
  return Found(0, 0, None, faults, long) if faults else None


def _measured(part: Part, lengths: Lengths, longest: bool) -> Found:
  room = min((room for _, room in part.rooms), default=float('inf'))
  whole = part.kind == 'examples'  # then the response counts too
  count, over, most, fits, first, head, worst, unjudged, wrong = 0, 0, 0, False, None, None, None, (), []
  for row in _rows(part, wrong):
    count, first = count + 1, first or row
    unjudged = unjudged or _unjudged(part, row, count)
    bound = lengths.most(row)
    if longest and bound > most:
      most = max(most, lengths.exactly(row))
    bound += lengths.bytes(row['response']) + 1 if whole else 0
    if bound <= room or (part.drop and fits):
      fits = True
      continue
    tokens = lengths.of_example(row) if whole else lengths.exactly(row)
    most = max(most, 0 if whole else tokens)
    if tokens > room:
      here = tokens, count, row
      over, head, worst = over + 1, head or here, max(worst or here, here, key=lambda x: x[0])
    fits = fits or tokens <= room
  faults = wrong + ([f'{_place(part, *unjudged[:2], count)}: {unjudged[2]}'] if unjudged else [])
  refused = over and not (part.drop and (fits or wrong))
  return Found(count, most, first, faults, [_too_long(part, head, worst, over, count)] if refused else [])


def _unjudged(part: Part, row: dict, number: int) -> tuple:
  """(number, row, why) if the verifier could not judge the row, else ()."""
  try:
    if part.kind == 'traces' and part.rooms:
      filter_lib.check_judged(row, part.stage)
    elif part.kind == 'problems' and part.verified:
      default.check(row)
  except ValueError as error:
    return number, row, error
  return ()


def _too_long(part: Part, head: tuple, worst: tuple, over: int, count: int) -> str:
  """A line about what is too long: the first and the longest of them, as (tokens, number, row)."""
  what = 'example (prompt and response)' if part.kind == 'examples' else 'prompt'
  small = [(field, room) for field, room in part.rooms if room < worst[0]]
  fields = ' and '.join(f'{field} has room for {room}' for field, room in small)
  others = '' if over == 1 else f'; {over} of {count} are too long'
  if worst is not head:
    others += f', the longest with {worst[0]} tokens: {_place(part, *worst[1:], count)}'
  names = ' and '.join(field.partition('=')[0] for field, _ in small)
  drop = f", or set {part.stage}.too_long='drop'" if part.kind == 'examples' else ''
  return (
    f'{_place(part, *head[1:], count)}: this {what} has {head[0]} tokens, but {fields}{others}. Raise {names}, or '
    f'leave such rows out{drop}'
  )


def _place(part: Part, number: int, row: dict, count: int) -> str:
  """File and line of the row of that number, from 1. Where rows are left out or have several responses it is looked for
  by its question; of several that ask the same it is said what they begin with."""
  rows = rows_lib.Rows(rows_lib.paths(part.data.files))
  if len(rows) == count:
    return rows.location(number - 1)
  problem = row.get('problem') or chat.messages(row)
  asked = problem if isinstance(problem, str) else problem[-1]['content']
  written = [json.dumps(asked[:200], ensure_ascii=ascii)[1:-1].encode() for ascii in (True, False)]
  alike = [i for i in range(len(rows)) if any(text in rows.raw(i) for text in written)]
  return rows.location(alike[0]) if len(alike) == 1 else f'{part.data.files}, the row that begins with {asked[:60]!r}'


def _bar(count: int) -> Iterator[int]:
  """range(count), with a progress bar if it takes long."""
  terminal = sys.stderr.isatty()
  for i in tqdm.tqdm(
    range(count),
    desc='measuring',
    unit='row',
    delay=5,
    mininterval=0.2 if terminal else 20,
    dynamic_ncols=True,
    leave=False,
  ):
    if i % 1000 == 0:
      hosts.beat()
    yield i


def check(workdir: pathlib.Path, found: list[Part], tokenizers: dict) -> None:
  """Reads and measures what was not found in order before, as READ says; stages that read the same do so once.

  Args:
    tokenizers: {root of a part: its tokenizer}.

  Raises:
    ValueError: wrong rows and prompts that are too long, a line each.
  """
  path = workdir / READ
  before = json.loads(path.read_text()) if path.exists() else []
  faults, known = [], []
  for part in together(found):
    name = _digest(part, tokenizers[part.root])
    if name not in before:
      what = read(part, Lengths(tokenizers[part.root]))
      lines = what.faults + what.long
      faults += [f'{part.where}: {line}' for line in lines]
      known += [] if lines else [name]
  if known:
    config_lib.write_json(path, before + known)
  refuse(faults)


def refuse(faults: list[str]) -> None:
  """Raises ValueError with these lines, if there are any."""
  if faults:
    raise ValueError(
      faults[0]
      if len(faults) == 1
      else f'{len(faults)} faults in the data, found before anything was computed:\n  ' + '\n  '.join(faults)
    )


def together(found: list[Part]) -> list[Part]:
  """Parts that read the same in the same way as one, with the rooms of all."""
  merged = {}
  for part in found:
    key = part.kind, part.data, part.root, part.drop
    first = merged.setdefault(key, part)
    merged[key] = first._replace(rooms=tuple(dict.fromkeys(first.rooms + part.rooms)))
  return list(merged.values())


def _digest(part: Part, tokenizer) -> str:
  files = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in rows_lib.paths(part.data.files)]
  measured = min((room for _, room in part.rooms), default=0)
  values = [part.kind, part.data._asdict(), files, measured, part.drop]
  found = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
  for name, content in sorted(tokenizer.files().items()):
    found.update(name.encode() + b'\0' + content)
  return found.hexdigest()
