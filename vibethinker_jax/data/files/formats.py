"""How a data file is opened, whatever its format: how many rows it has, where each stands, and its JSON.

JSON lines and ArrayRecord are read where they are; all else is unpacked once into a temporary file. What a file is, is
told by its first bytes before its name: people rename.
"""

import array
from collections.abc import Callable, Iterable, Iterator
import gzip
import itertools
import json
import logging
import os
import tempfile
from typing import NamedTuple
import zlib

import tqdm

from vibethinker_jax.data.files import index, tables
from vibethinker_jax.runtime import disk

LOG = logging.getLogger('vibethinker_jax')
BOM = b'\xef\xbb\xbf'
# Names under which one JSON object holds all rows of a file; others do as well if exactly one list of objects is in it.
WRAPPERS = (
  'data',
  'rows',
  'examples',
  'problems',
  'questions',
  'items',
  'records',
  'instances',
  'samples',
  'train',
  'test',
  'validation',
  'dev',
)
# An object with one of these is itself a row, whatever lists it has.
OF_A_ROW = (
  'prompt',
  'problem',
  'question',
  'messages',
  'conversations',
  'conversation',
  'instruction',
  'input',
  'text',
  'question_content',
  'Question',
  'Problem',
  'description',
  'response',
  'output',
  'completion',
  'query',
  'question_stem',
  'question_text',
  'problem_text',
  'problem_statement',
  'problem_description',
  'instruct_prompt',
  'ctx',
  'goal',
  'sentence',
  'chosen',
  'generations',
  'turns',
  'dialogue',
  'chat',
)
_GZIP = b'\x1f\x8b'
_OTHERS = (
  (b'PK\x03\x04', 'a zip archive (or an Excel file)'),
  (b'\x28\xb5\x2f\xfd', 'packed with zstd'),
  (b'\xfd7zXZ', 'packed with xz'),
  (b'BZh', 'packed with bzip2'),
  (b'ARROW1', 'an Arrow file'),
)
_UNPACKING = (OSError, EOFError, zlib.error)


class File(NamedTuple):
  """An opened file.

  Attributes:
    unit: what a person counts in it, line or row. count: its rows. read: index from 0 -> the JSON of that row.
    number: index from 0 -> the row's line (empty lines count, but are no rows) or row, from 1.
  """

  path: str
  unit: str
  count: int
  read: Callable[[int], bytes]
  number: Callable[[int], int]


def open_file(path: str, spool) -> File:
  """Opens a file of rows.

  Args:
    spool: a temporary file, for rows that have to be unpacked.

  Raises:
    ValueError: the file is empty or unreadable, with its path and what to do.
  """
  name = os.path.basename(path).lower()
  plain = name.removesuffix('.gz')
  magic = _start(path)
  for mark, what in _OTHERS:
    if magic.startswith(mark):
      raise ValueError(f'{path} is {what}: make JSON lines, CSV or parquet of it')
  if plain.endswith(('.array_record', '.arrayrecord')):
    file = _array_record(path)
  elif plain.endswith('.parquet') or magic.startswith(b'PAR1'):
    file = _spooled(path, 'row', _counted(_parquet(path)), spool)
  else:
    file = _text(path, plain, name.endswith('.gz') or magic.startswith(_GZIP), spool)
  if not file.count:
    raise ValueError(f'{path} is empty: it has no rows')
  return file


def _text(path: str, plain: str, packed: bool, spool) -> File:
  opened = gzip.open if packed else open
  try:
    with opened(path, 'rb') as file:
      head = file.read(4096)
    _check_encoding(path, head, packed)
    if plain.endswith(('.csv', '.tsv', '.tab')):
      return _spooled(path, 'line', tables.rows(path, opened, plain.endswith(('.tsv', '.tab'))), spool)
    rows = _document(path, opened, head, plain.endswith('.json'))
    if rows is not None:
      return _spooled(path, 'row', _counted(map(_dump, rows)), spool)
    if packed:
      with opened(path, 'rb') as file:
        return _spooled(
          path,
          'line',
          ((n, line.removeprefix(BOM).removesuffix(b'\n')) for n, line in enumerate(file, 1) if not _blank(line)),
          spool,
        )
    return _lines(path)
  except disk.Unwritable:
    raise
  except _UNPACKING as error:
    raise ValueError(f'{path} cannot be {"unpacked" if packed else "read"}: {error}') from error


def _start(path: str) -> bytes:
  try:
    with open(path, 'rb') as file:
      return file.read(8)
  except OSError as error:
    raise ValueError(f'{path} cannot be read: {error.strerror or error}') from error


def _check_encoding(path: str, head: bytes, packed: bool) -> None:
  """Refuses UTF-16 and UTF-32, with their mark or without: then every second byte of what every format begins with is
  0."""
  if head[:2] in (b'\xff\xfe', b'\xfe\xff') or b'\0' in head[:4]:
    wide = 'UTF-32' if head[:4] in (b'\xff\xfe\0\0', b'\0\0\xfe\xff') else 'UTF-16'
    iconv = f'iconv -f {wide} -t UTF-8'
    raise ValueError(
      f'{path} is not UTF-8 but {wide}: convert it, for example: '
      + (f'gzip -dc {path} | {iconv} > NEW' if packed else f'{iconv} {path} > NEW')
    )


def _blank(line: bytes) -> bool:
  """Whether a line has nothing but white space, of Unicode too, or a byte-order mark."""
  return line.isspace() or not line[:1].isascii() and not line.decode('utf-8', 'ignore').replace('\ufeff', '').strip()


def _lines(path: str) -> File:
  found = index.kept([path], 'lines', lambda: _starts(path))
  starts, numbers = (array.array('Q', found[name].tobytes()) for name in ('starts', 'numbers'))

  def read_line(i):
    with open(path, 'rb') as file:  # opened for each row: thousands of files may be in use, and several threads
      file.seek(starts[i])
      return file.readline().removeprefix(BOM).removesuffix(b'\n')

  return File(path, 'line', len(starts), read_line, _numbers(numbers))


def _starts(path: str) -> dict[str, array.array]:
  starts, numbers, at = array.array('Q'), array.array('Q'), 0
  with open(path, 'rb') as file:
    bar = tqdm.tqdm(file, f'indexing {os.path.basename(path)}', unit='line', delay=5, mininterval=5, leave=False)
    for number, line in enumerate(bar, 1):
      if not _blank(line):
        starts.append(at)
        numbers.append(number)
      at += len(line)
  return {'starts': starts, 'numbers': numbers}


def _numbers(numbers: array.array) -> Callable[[int], int]:
  """The numbers by index; kept only where some are left out: 8 bytes a row."""
  return numbers.__getitem__ if numbers and numbers[-1] != len(numbers) else lambda i: i + 1


def _spooled(path: str, unit: str, rows: Iterable[tuple[int, bytes]], spool) -> File:
  """Appends (number, JSON) rows to the temporary file."""
  base, name = spool.seek(0, os.SEEK_END), os.path.basename(path)
  if os.path.getsize(path) >= index.LARGE:
    LOG.info('%s is unpacked at every start; of JSON lines, not packed, only the first start reads all', name)
  numbers, ends, at = array.array('Q'), array.array('Q'), 0
  for number, row in tqdm.tqdm(rows, f'unpacking {name}', unit='row', delay=5, mininterval=5, leave=False):
    with disk.writing('unpacked rows (TMPDIR names another directory)', tempfile.gettempdir()):
      at += spool.write(row)
    numbers.append(number)
    ends.append(at)
  with disk.writing('unpacked rows (TMPDIR names another directory)', tempfile.gettempdir()):
    spool.flush()

  def read_row(i):
    start = ends[i - 1] if i else 0
    return os.pread(spool.fileno(), ends[i] - start, base + start)

  return File(path, unit, len(ends), read_row, _numbers(numbers))


def _counted(rows: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
  return zip(itertools.count(1), rows)


def _dump(row) -> bytes:
  return json.dumps(row).encode()


def _document(path: str, opened, head: bytes, certain: bool) -> list | None:
  """The rows of a file that is one JSON value: an array, an object that holds the rows, or one that is spread over
  lines; None of JSON lines.

  Args:
    opened: open or gzip.open. certain: the name says JSON, so that what cannot be read is no lines either.
  """
  begin = head.removeprefix(BOM).lstrip()[:1]
  if begin not in (b'[', b'{'):
    return None
  if begin == b'{' and (value := _only_line(path, opened)) is not _SPREAD:
    return _unwrapped(path, value)
  with opened(path, 'rb') as file:
    try:
      value = json.loads(file.read().removeprefix(BOM).decode())
    except (ValueError, RecursionError) as error:
      if not certain:
        return None
      raise ValueError(f'{path}: not JSON ({error})') from error
  if (
    isinstance(value, list) and value and all(map(_is_turn, value))
  ):  # one row of Open-Reasoner-Zero's, a list of turns
    value = [value]
  rows = value if isinstance(value, list) else _unwrapped(path, value)
  return [value] if rows is None else rows


def _is_turn(value) -> bool:
  return isinstance(value, dict) and bool(
    {'from', 'role'} & value.keys() and {'value', 'content', 'ground_truth'} & value.keys()
  )


_SPREAD = object()


def _only_line(path: str, opened):
  """The value in the first line if no other line follows; _SPREAD if it only begins there; None for JSON lines."""
  with opened(path, 'rb') as file:
    filled = (line for line in file if not _blank(line))
    try:
      text = next(filled).removeprefix(BOM).decode().strip()
      value = json.loads(text)
    except json.JSONDecodeError as error:
      return _SPREAD if error.pos >= len(text) else None
    except (ValueError, RecursionError):
      return None
    return None if next(filled, None) is not None else value


def _unwrapped(path: str, value) -> list | None:
  """The rows that an object holds, None if it holds none: then it is a row.

  Raises:
    ValueError: it holds several lists of rows, or rows by name.
  """
  if (
    not isinstance(value, dict)
    or any(name in value for name in OF_A_ROW)
    or value
    and all(map(_is_turn, value.values()))
  ):
    return None
  lists = [name for name, held in value.items() if isinstance(held, list)]
  held = [
    name
    for name in lists
    if value[name]
    and all(isinstance(row, dict) for row in value[name])
    and not {'role', 'from'} & value[name][0].keys()
  ]
  if len(held) > 1:
    raise ValueError(f'{path} holds several lists of rows ({", ".join(held)}): put each into a file of its own')
  texts = len(lists) == 1 and bool(value[lists[0]]) and all(isinstance(one, str) for one in value[lists[0]])
  if not held and len(lists) == 1 and lists[0] in WRAPPERS and not texts:  # UltraChat's `data` is a conversation
    held = lists
  if not held and len(value) > 1 and all(isinstance(row, dict) for row in value.values()):
    raise ValueError(f'{path} holds an object of {len(value)} objects: make a list of them, or a line of each')
  return value[held[0]] if held else None


def _parquet(path: str) -> Iterator[bytes]:
  from pyarrow import lib, parquet  # half a second

  try:
    with parquet.ParquetFile(path) as file:
      for batch in file.iter_batches(batch_size=1024):
        for row in batch.to_pylist():
          yield json.dumps(row, default=_jsonable).encode()
  except (lib.ArrowException, OSError, UnicodeError) as error:
    raise ValueError(f'{path} cannot be read as parquet: {error}') from error


def _jsonable(value):
  """Dates, decimals and bytes of a parquet column as text."""
  return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)


def _array_record(path: str) -> File:
  try:
    from array_record.python import array_record_module
  except ImportError as error:
    raise ValueError(f'{path}: ArrayRecord files need the package array-record: {error}') from error
  try:
    reader = array_record_module.ArrayRecordReader(path)
    count = reader.num_records()
  except (RuntimeError, ValueError) as error:
    raise ValueError(f'{path} cannot be read as ArrayRecord: {error}') from error
  return File(path, 'row', count, lambda i: reader.read([i])[0], lambda i: i + 1)
