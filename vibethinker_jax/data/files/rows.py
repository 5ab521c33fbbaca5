"""Rows of data files, by index: JSON lines, JSON arrays, CSV and TSV (.gz too), parquet, ArrayRecord.

  rows = Rows(paths('train/*.parquet,more.jsonl.gz'))
  rows[7], rows.location(7)      # a dict, 'more.jsonl.gz, line 3'

Rows stay on disk: of a million of them memory holds 8 MB of offsets. JSON lines and ArrayRecord are read where they
are; compressed files, JSON arrays, tables and parquet are unpacked once into an unnamed temporary file (folder:
TMPDIR).
"""

import bisect
from collections.abc import Iterator
import glob
import gzip
import itertools
import json
import math
import os
import sys
import tempfile

import tqdm

from vibethinker_jax.data.files import remote
from vibethinker_jax.data.files.formats import File, open_file
from vibethinker_jax.runtime import disk

_EVERY = json.JSONDecoder()
sys.set_int_max_str_digits(0)  # tests of programs hold integers of more than 4 300 digits


def _no_number(token: str):
  raise ValueError(token)


_JSON = json.JSONDecoder(parse_constant=_no_number)  # RFC 8259: NaN and Infinity are no JSON


class Rows:
  """The rows of some files one after the other; every row is a JSON object.

  Raises:
    ValueError: a file that is missing, empty or unreadable.
  """

  def __init__(self, files: list[str]):
    self.paths, self._spool = list(files), tempfile.TemporaryFile()
    self.files = [open_file(path, self._spool) for path in files]
    self._ends = list(itertools.accumulate(file.count for file in self.files))

  def __len__(self) -> int:
    return self._ends[-1] if self._ends else 0

  def place(self, index: int) -> tuple[File, int]:
    """(file, index from 0 in that file)."""
    if not 0 <= index < len(self):
      raise IndexError(f'row {index} of {len(self)}')
    f = bisect.bisect_right(self._ends, index)
    return self.files[f], index - (self._ends[f - 1] if f else 0)

  def number(self, index: int) -> int:
    """The line of a row in its file (or the row, of formats without lines), from 1."""
    file, i = self.place(index)
    return file.number(i)

  def location(self, index: int) -> str:
    """Where a row stands, for messages: 'traces.jsonl, line 3'."""
    file, i = self.place(index)
    return f'{file.path}, {file.unit} {file.number(i)}'

  def raw(self, index: int) -> bytes:
    """The JSON of a row without the end of the line; of JSON lines the very bytes of the file."""
    file, i = self.place(index)
    return file.read(i)

  def __getitem__(self, index: int) -> dict:
    """The row as an object.

    Raises:
      ValueError: it is none, or has what is no value: NaN, or half a character. With file and line.
    """
    raw = self.raw(index)
    try:
      row = _JSON.decode(raw.decode())
    except RecursionError:
      raise ValueError(f'{self.location(index)}: nested too deeply to be a row') from None
    except ValueError as error:
      if str(error) in ('NaN', 'Infinity', '-Infinity'):
        raise ValueError(
          f'{self.location(index)}: {_named(raw, _not_finite)} is {error}, which is no value: give a number '
          'or text, or leave the row out'
        ) from error
      raise ValueError(f'{self.location(index)}: not JSON ({error}); every line is one JSON object') from error
    if isinstance(row, list) and row and all(isinstance(turn, dict) and {'from', 'role'} & turn.keys() for turn in row):
      row = {'turns': row}  # Open-Reasoner-Zero: a row is the list of its turns
    if not isinstance(row, dict):
      raise ValueError(f'{self.location(index)}: a JSON object is needed, not {type(row).__name__}')
    if (b'\\ud' in raw or b'\\uD' in raw) and _half(row):
      raise ValueError(
        f'{self.location(index)}: {_named(raw, _half)} has half a character in it (a lone surrogate, '
        '\\ud800 to \\udfff): the text was cut or wrongly decoded; repair it or leave the row out'
      )
    return row


def _named(raw: bytes, is_bad) -> str:
  """The first field of a row with a bad value, in words."""
  row = _EVERY.decode(raw.decode())
  names = [name for name, value in row.items() if is_bad({name: value})] if isinstance(row, dict) else []
  return f'the field {json.dumps(names[0])}' if names else 'a value'


def _not_finite(value) -> bool:
  if isinstance(value, (dict, list)):
    return any(map(_not_finite, value.values() if isinstance(value, dict) else value))
  return isinstance(value, float) and not math.isfinite(value)


def _half(value) -> bool:
  """Whether text has half of a pair of surrogates: then it has no UTF-8."""
  try:
    json.dumps(value, ensure_ascii=False).encode()
  except UnicodeEncodeError:
    return True
  return False


def entries(files: str) -> list[str]:
  """The comma-separated parts of a `files` option."""
  return [part.strip() for part in files.split(',') if part.strip()]


def paths(files: str) -> list[str]:
  """The paths of comma-separated names and globs, in that order, those of a glob sorted; of URLs those of their copies.

  Raises:
    ValueError: nothing is there, or it does not come (data.files.remote).
  """
  found = []
  for entry in entries(files):
    if remote.is_remote(entry):
      found += remote.paths(entry)
      continue
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


def bar(count: int, description: str):
  """range(count), with a progress bar if it takes long."""
  terminal = sys.stderr.isatty()
  return tqdm.tqdm(
    range(count),
    desc=description,
    unit='row',
    delay=5,
    mininterval=0.2 if terminal else 20,
    dynamic_ncols=True,
    leave=False,
  )


def check_output(rows: Rows, path: str) -> None:
  """Raises ValueError where `write` could not write these rows to that path."""
  if remote.is_remote(path):
    raise ValueError(f'{path}: an output is a path of this machine')
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
