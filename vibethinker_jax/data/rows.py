"""Rows of data files, by index: JSON lines and JSON arrays (.gz too), CSV, parquet, ArrayRecord.

  rows = Rows(paths('train/*.parquet,more.jsonl.gz'))
  rows[7], rows.location(7)      # a dict, 'more.jsonl.gz, line 3'

Rows stay on disk: of a million of them memory holds 8 MB of offsets. JSON lines and ArrayRecord are read where they
are; compressed files, JSON arrays, CSV and parquet are unpacked once into an unnamed temporary file (folder: TMPDIR).
"""

import array
import bisect
import csv
import glob
import gzip
import itertools
import json
import os
import tempfile
import zlib
from typing import Callable, Iterable, Iterator, NamedTuple

from vibethinker_jax import disk


class File(NamedTuple):
  """An opened file. unit: what a person counts in it, line or row. read: index from 0 -> the JSON of that row."""
  path: str
  unit: str
  count: int
  read: Callable[[int], bytes]


class Rows:
  """The rows of some files one after the other; every row is a JSON object.

  Raises:
    ValueError: a file that is missing, empty or unreadable.
  """

  def __init__(self, files: list[str]):
    self._spool = tempfile.TemporaryFile()
    self.files = [_open(path, self._spool) for path in files]
    self._ends = list(itertools.accumulate(file.count for file in self.files))

  def __len__(self) -> int:
    return self._ends[-1] if self._ends else 0

  def place(self, index: int) -> tuple[File, int]:
    """(file, index from 0 in that file)."""
    if not 0 <= index < len(self):
      raise IndexError(f'row {index} of {len(self)}')
    f = bisect.bisect_right(self._ends, index)
    return self.files[f], index - (self._ends[f - 1] if f else 0)

  def location(self, index: int) -> str:
    """Where a row stands, for messages: 'traces.jsonl, line 3'."""
    file, i = self.place(index)
    return f'{file.path}, {file.unit} {i + 1}'

  def raw(self, index: int) -> bytes:
    """The JSON of a row without the end of the line; of JSON lines the very bytes of the file."""
    file, i = self.place(index)
    return file.read(i)

  def __getitem__(self, index: int) -> dict:
    """The row as an object.

    Raises:
      ValueError: it is none, with file and line.
    """
    raw = self.raw(index)
    try:
      row = json.loads(raw.decode())
    except ValueError as error:
      text = 'an empty line' if not raw.strip() else f'not JSON ({error})'
      raise ValueError(f'{self.location(index)}: {text}; every line is one JSON object') from error
    if not isinstance(row, dict):
      raise ValueError(f'{self.location(index)}: a JSON object is needed, not {type(row).__name__}')
    return row


def entries(files: str) -> list[str]:
  """The comma-separated parts of a `files` option."""
  return [part.strip() for part in files.split(',') if part.strip()]


def paths(files: str) -> list[str]:
  """The paths of comma-separated names and globs, in that order, those of a glob sorted.

  Raises:
    ValueError: nothing is there.
  """
  found = []
  for entry in entries(files):
    entry = os.path.expanduser(entry)
    if os.path.isdir(entry):
      raise ValueError(f'{entry} is a folder: name the files in it, for example {os.path.join(entry, "*.jsonl")}')
    matches = [entry] if os.path.exists(entry) else sorted(filter(os.path.isfile, glob.glob(entry, recursive=True)))
    if not matches:
      raise ValueError(f'no such data file: {entry}' + (' (nothing matches)' if glob.has_magic(entry) else ''))
    found += matches
  if not found:
    raise ValueError('no data files are named')
  return found


def read(files: str) -> Iterator[tuple[str, dict]]:
  """(location, row) of every row of comma-separated paths and globs."""
  rows = Rows(paths(files))
  for i in range(len(rows)):
    yield rows.location(i), rows[i]


def _open(path: str, spool) -> File:
  name = os.path.basename(path).lower()
  plain = name.removesuffix('.gz')
  if plain.endswith('.parquet'):
    file = File(path, 'row', *_spooled(_parquet(path), spool))
  elif plain.endswith(('.array_record', '.arrayrecord')):
    file = _array_record(path)
  elif plain.endswith('.json') and _is_array(path):
    file = File(path, 'row', *_spooled(_json_array(path), spool))
  elif plain.endswith('.csv'):
    file = File(path, 'row', *_spooled(_csv(path), spool))
  elif name.endswith('.gz'):
    file = File(path, 'line', *_spooled(_gzip_lines(path), spool))
  else:
    file = _lines(path)
  if not file.count:
    raise ValueError(f'{path} is empty')
  return file


def _lines(path: str) -> File:
  with open(path, 'rb') as file:
    ends = array.array('Q', itertools.accumulate(map(len, file)))

  def read_line(i):
    start = ends[i - 1] if i else 0
    with open(path, 'rb') as file:  # opened for each row: thousands of files may be in use, and several threads
      file.seek(start)
      return file.read(ends[i] - start).removesuffix(b'\n')

  return File(path, 'line', len(ends), read_line)


def _spooled(rows: Iterable[bytes], spool) -> tuple[int, Callable[[int], bytes]]:
  """Appends rows to the temporary file. Returns their number and a function that reads one."""
  base = spool.seek(0, os.SEEK_END)
  with disk.writing('unpacked rows (TMPDIR names another directory)', tempfile.gettempdir()):
    ends = array.array('Q', itertools.accumulate(spool.write(row) for row in rows))
    spool.flush()

  def read_row(i):
    start = ends[i - 1] if i else 0
    return os.pread(spool.fileno(), ends[i] - start, base + start)

  return len(ends), read_row


def _gzip_lines(path: str) -> Iterator[bytes]:
  try:
    with gzip.open(path) as file:
      for line in file:
        yield line.removesuffix(b'\n')
  except (OSError, EOFError, zlib.error) as error:
    raise ValueError(f'{path} cannot be unpacked: {error}') from error


def _is_array(path: str) -> bool:
  """Whether a .json file starts with a bracket; otherwise it holds JSON lines, as many data sets do."""
  try:
    with (gzip.open if path.lower().endswith('.gz') else open)(path, 'rb') as file:
      return file.read(4096).lstrip()[:1] == b'['
  except (OSError, EOFError, zlib.error) as error:
    raise ValueError(f'{path} cannot be read: {error}') from error


def _json_array(path: str) -> Iterator[bytes]:
  with (gzip.open if path.lower().endswith('.gz') else open)(path, 'rb') as file:
    try:
      values = json.loads(file.read().decode())
    except (ValueError, OSError, EOFError, zlib.error) as error:
      raise ValueError(f'{path}: not a JSON array ({error})') from error
  for value in values:
    yield json.dumps(value).encode()


def _csv(path: str) -> Iterator[bytes]:
  """Rows as objects of text by the header's names."""
  opened = gzip.open if path.lower().endswith('.gz') else open
  try:
    with opened(path, 'rt', encoding='utf-8-sig', newline='') as file:
      for row in csv.DictReader(file, restkey='more columns than the header has'):
        yield json.dumps(row).encode()
  except (csv.Error, UnicodeError, OSError, EOFError, zlib.error) as error:
    raise ValueError(f'{path} cannot be read as CSV: {error}') from error


def _parquet(path: str) -> Iterator[bytes]:
  from pyarrow import lib, parquet  # half a second
  try:
    with parquet.ParquetFile(path) as file:
      for batch in file.iter_batches(batch_size=1024):
        for row in batch.to_pylist():
          yield json.dumps(row, default=_jsonable).encode()
  except (lib.ArrowException, OSError) as error:
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
  return File(path, 'row', count, lambda i: reader.read([i])[0])


def write(rows: Rows, kept: list[int], path: str) -> None:
  """Writes some rows, unchanged, to a .jsonl, .jsonl.gz or (from parquet only) .parquet file, whole or not at all.

  Raises:
    ValueError: another format is asked for, or parquet files have different columns.
  """
  check_output(rows, path)
  with disk.replacing(path, 'the rows that stay') as temporary:
    temporary = str(temporary)
    if path.endswith('.parquet'):
      _write_parquet(rows, kept, temporary)
    elif path.endswith('.gz'):
      with open(temporary, 'wb') as plain, gzip.GzipFile('', 'wb', fileobj=plain, mtime=0) as file:  # no name, no time:
        file.writelines(_line(rows.raw(i)) for i in kept)  # the same rows are the same bytes
    else:
      with open(temporary, 'wb') as file:
        file.writelines(_line(rows.raw(i)) for i in kept)


def check_output(rows: Rows, path: str) -> None:
  """Raises ValueError where `write` could not write these rows to that path."""
  if not path.endswith(('.jsonl', '.jsonl.gz', '.parquet')):
    raise ValueError(f'{path}: the name of an output ends in .jsonl, .jsonl.gz or .parquet')
  if path.endswith('.parquet') and not all(file.path.lower().endswith('.parquet') for file in rows.files):
    raise ValueError(f'{path}: parquet is written from parquet files only; name the output .jsonl or .jsonl.gz')
  if os.path.realpath(path) in (os.path.realpath(file.path) for file in rows.files):
    raise ValueError(f'{path} is one of the files that are read: give the output another name')


def _line(raw: bytes) -> bytes:
  return (json.dumps(json.loads(raw)).encode() if b'\n' in raw else raw) + b'\n'


def _write_parquet(rows: Rows, kept: list[int], path: str) -> None:
  from pyarrow import lib, parquet
  wanted, at, writer = set(kept), 0, None
  try:
    for file in rows.files:
      with parquet.ParquetFile(file.path) as source:
        writer = writer or parquet.ParquetWriter(path, source.schema_arrow)
        for batch in source.iter_batches(batch_size=1024):
          writer.write_batch(batch.take(lib.array([i for i in range(len(batch)) if at + i in wanted], lib.int64())))
          at += len(batch)
  except (lib.ArrowException, ValueError) as error:
    raise ValueError(f'{file.path} cannot be written to {path}: {error}') from error
  finally:
    if writer:
      writer.close()
