"""Rows of CSV and TSV files, with whatever stands between their columns."""

from collections.abc import Iterator
import csv
import itertools
import json
import re

DELIMITERS = ',;\t|'
LOOKED_AT = 50  # records by which the delimiter is told
_SEP = re.compile(r'sep=(.)\r?\n?')  # Excel's own first line


def rows(path: str, opened, tabs: bool) -> Iterator[tuple[int, bytes]]:
  """(line where it begins, JSON) of every record as an object of text by the header's names; empty records are left
  out.

  Args:
    opened: open or gzip.open. tabs: the name says that tabs stand between the columns.

  Raises:
    ValueError: it is no such table, with the path and, of a record, its line.
  """
  csv.field_size_limit(2**31 - 1)  # the module's own limit is 128 KB: less than a long solution
  try:
    with opened(path, 'rt', encoding='utf-8-sig', newline='') as file:
      given = _SEP.fullmatch(file.readline())
      begin = 1 if given else 0
    delimiter, quoting = (given[1], csv.QUOTE_MINIMAL) if given else _dialect(path, opened, tabs)
    with opened(path, 'rt', encoding='utf-8-sig', newline='') as file:
      for _ in range(begin):
        file.readline()
      yield from _objects(path, csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True), begin)
  except UnicodeError as error:
    raise ValueError(
      f'{path} is not UTF-8 ({error}): convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 {path} > NEW'
    ) from error
  except csv.Error as error:
    raise ValueError(f'{path} cannot be read as CSV: {error}') from error


def _objects(path: str, reader, before: int) -> Iterator[tuple[int, bytes]]:
  header, line = None, 1 + before
  try:
    for record in reader:
      number, line = line, reader.line_num + 1 + before
      if not any(cell.strip() for cell in record):
        continue
      if header is None:
        header = [name.strip() for name in record]
        named = [name for name in header if name]
        if len(set(named)) < len(named):
          twice = next(name for name in named if named.count(name) > 1)
          raise ValueError(f'{path}, line {number}: the header names {twice!r} twice')
        continue
      if any(record[len(header) :]):
        raise ValueError(
          f'{path}, line {number}: {len(record)} columns where the header has {len(header)}; a text with a '
          'delimiter in it needs quotes'
        )
      yield number, json.dumps(dict(itertools.zip_longest(header, record[: len(header)]))).encode()
  except csv.Error as error:
    raise ValueError(
      f'{path}, line {line}: cannot be read as CSV ({error}); is a quotation mark not closed?'
    ) from error


def _dialect(path: str, opened, tabs: bool) -> tuple[str, int]:
  """(delimiter, quoting) under which most of the first records have as many columns as the header.

  A delimiter inside quotes does not count. Of equals the one wins whose header has no other delimiter in its names,
  then the one with more columns. In tables with tabs quotes are often mere text: where they cannot be read as quotes
  they are.
  """
  best = (0.0, False, 0), ('\t' if tabs else ',', csv.QUOTE_MINIMAL)
  for delimiter in '\t' + DELIMITERS if tabs else DELIMITERS:
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE) if delimiter == '\t' else (csv.QUOTE_MINIMAL,):
      with opened(path, 'rt', encoding='utf-8-sig', newline='') as file:
        records = filter(any, csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True))
        header, sizes = [], []
        try:
          header = next(records, [])
          if len(header) > 1:  # with tabs all records are read: the last quote may be the one that is not closed
            sizes = [len(record) for record in itertools.islice(records, None if delimiter == '\t' else LOOKED_AT)]
        except csv.Error:  # `rows` says where, if nothing else fits
          sizes = [0]
      if len(header) < 2:
        continue
      share = sum(n == len(header) for n in sizes) / len(sizes) if sizes else 1.0
      plain = not any(other in name for name in header for other in DELIMITERS)
      if (found := (share, plain, len(header))) > best[0]:
        best = found, (delimiter, quoting)
  return best[1]
