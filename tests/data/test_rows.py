"""Every format gives the same rows, by index; what is wrong is named with its file and line."""

import gzip
import json

import pyarrow
from pyarrow import parquet
import pytest

from vibethinker_jax.data import rows

ROWS = [{'prompt': f'frage {i} ü\u2028\n"x"', 'n': i, 'deep': {'a': [i, None]}} for i in range(5)]


def write_array_record(path, values):
  from array_record.python import array_record_module
  writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')
  for value in values:
    writer.write(value if isinstance(value, bytes) else json.dumps(value).encode())
  writer.close()


def write(path, values):
  """Rows in the format that the name says; lines and records that are text or bytes as they are."""
  lines = lambda: ''.join((v if isinstance(v, str) else json.dumps(v)) + '\n' for v in values)
  name = path.name
  if name.endswith('.parquet'):
    parquet.write_table(pyarrow.Table.from_pylist(values), path)
  elif 'record' in name:
    write_array_record(path, values)
  elif name.endswith('.json'):
    path.write_text(json.dumps(values, indent=1))
  elif name.endswith('.json.gz'):
    path.write_bytes(gzip.compress(json.dumps(values).encode()))
  elif name.endswith('.gz'):
    path.write_bytes(gzip.compress(lines().encode()))
  else:
    path.write_text(lines())
  return str(path)


NAMES = ('a.jsonl', 'a.jsonl.gz', 'a.json', 'a.json.gz', 'a.parquet', 'a.array_record', 'a.arrayrecord', 'a.txt')


@pytest.mark.parametrize('name', NAMES)
def test_formats(tmp_path, name):
  path = write(tmp_path / name, ROWS)
  found = rows.Rows([path])
  assert len(found) == 5 and [found[i] for i in (4, 0, 2, 1, 3, 4)] == [ROWS[i] for i in (4, 0, 2, 1, 3, 4)]
  unit = 'line' if 'jsonl' in name or 'txt' in name else 'row'
  assert found.location(2) == f'{path}, {unit} 3'
  assert list(rows.read(path)) == [(f'{path}, {unit} {i + 1}', row) for i, row in enumerate(ROWS)]
  with pytest.raises(IndexError):
    found[5]


def test_all_formats_together(tmp_path):
  files = [write(tmp_path / name, [{'name': name, 'i': i} for i in range(n + 1)]) for n, name in enumerate(NAMES)]
  found = rows.Rows(files)
  expected = [{'name': name, 'i': i} for n, name in enumerate(NAMES) for i in range(n + 1)]
  assert [found[i] for i in range(len(found))] == expected
  assert [found[i] for i in reversed(range(len(found)))] == expected[::-1]


def test_json_lines_named_json_and_a_last_line_without_end(tmp_path):
  (tmp_path / 'a.json').write_text('{"a": 1}\n{"a": 2}')
  assert [row['a'] for _, row in rows.read(str(tmp_path / 'a.json'))] == [1, 2]
  assert rows.Rows([str(tmp_path / 'a.json')]).location(1).endswith('a.json, line 2')


def test_raw_lines_are_the_bytes_of_the_file(tmp_path):
  text = '{"a":1,   "b": "\\u00fc"}\r\n{"b": "ü", "a": 2.50}\n'
  (tmp_path / 'a.jsonl').write_bytes(text.encode())
  (tmp_path / 'a.jsonl.gz').write_bytes(gzip.compress(text.encode()))
  for name in ('a.jsonl', 'a.jsonl.gz'):
    found = rows.Rows([str(tmp_path / name)])
    assert b''.join(found.raw(i) + b'\n' for i in range(2)) == text.encode()


def test_parquet_values_without_a_json_form(tmp_path):
  import datetime
  import decimal
  table = pyarrow.table({'day': [datetime.date(2026, 1, 2)], 'd': [decimal.Decimal('1.50')], 'b': [b'x']})
  parquet.write_table(table, tmp_path / 'a.parquet')
  assert rows.Rows([str(tmp_path / 'a.parquet')])[0] == {'day': '2026-01-02', 'd': '1.50', 'b': 'x'}


def test_paths(tmp_path):
  for name in ('b1.jsonl', 'b2.jsonl', 'a.jsonl'):
    write(tmp_path / name, ROWS)
  names = lambda files: [path.rsplit('/', 1)[1] for path in rows.paths(files)]
  assert names(f'{tmp_path}/b*.jsonl, {tmp_path}/a.jsonl') == ['b1.jsonl', 'b2.jsonl', 'a.jsonl']
  odd = write(tmp_path / 'x[1].jsonl', ROWS)  # a name is a name before it is a glob
  assert rows.paths(odd) == [odd]
  for files, message in (
      (str(tmp_path), 'is a folder'), (f'{tmp_path}/c*.jsonl', r'c\*.jsonl \(nothing matches\)'),
      (f'{tmp_path}/a.jsonl,{tmp_path}/c.jsonl', 'no such data file: .*c.jsonl'), (' , ', 'no data')):
    with pytest.raises(ValueError, match=message):
      rows.paths(files)


@pytest.mark.parametrize('name', ['a.jsonl', 'a.jsonl.gz', 'a.json', 'a.parquet', 'a.array_record'])
def test_empty_files(tmp_path, name):
  if name.endswith('.parquet'):
    parquet.write_table(pyarrow.table({'a': pyarrow.array([], pyarrow.int64())}), tmp_path / name)
  else:
    write(tmp_path / name, [])
  with pytest.raises(ValueError, match=f'{name} is empty'):
    rows.Rows([str(tmp_path / name)])


@pytest.mark.parametrize('line, message', [
    ('{"a": ', r'not JSON \(.*every line is one JSON object'),
    ('[1]', 'a JSON object is needed, not list'),
    ('NULL', 'not JSON'), ('7', 'a JSON object is needed, not int')])
@pytest.mark.parametrize('name', ['a.jsonl', 'a.jsonl.gz'])
def test_bad_lines(tmp_path, name, line, message):
  path = write(tmp_path / name, ['{"a": 1}', line, '{"a": 3}'])
  with pytest.raises(ValueError, match=f'{name}, line 2: {message}'):
    list(rows.read(path))


def test_bytes_that_are_not_utf8(tmp_path):
  (tmp_path / 'a.jsonl').write_bytes(b'{"a": "\xff"}\n')
  with pytest.raises(ValueError, match='a.jsonl, line 1: not JSON .*utf-8'):
    list(rows.read(str(tmp_path / 'a.jsonl')))


def test_bad_rows_of_other_formats(tmp_path):
  with pytest.raises(ValueError, match='a.json, row 2: a JSON object is needed, not int'):
    list(rows.read(write(tmp_path / 'a.json', [{}, 3])))
  with pytest.raises(ValueError, match='a.array_record, row 2: not JSON'):
    list(rows.read(write(tmp_path / 'a.array_record', [{}, b'\x00\x01'])))


@pytest.mark.parametrize('name, data', [
    ('a.parquet', b'no parquet'), ('a.jsonl.gz', b'no gzip'), ('a.json', b'[{"a": 1}, '), ('a.json.gz', b'no gzip'),
    ('a.jsonl.gz', gzip.compress(b'{"a": 1}\n' * 1000)[:-20]), ('a.array_record', b'no record')], ids=str)
def test_broken_files(tmp_path, name, data):
  (tmp_path / name).write_bytes(data)
  with pytest.raises(ValueError, match=name):
    list(rows.read(str(tmp_path / name)))


@pytest.mark.parametrize('name', ['o.jsonl', 'o.jsonl.gz', 'o.parquet'])
def test_write(tmp_path, name):
  source = rows.Rows([write(tmp_path / ('a' + ('.parquet' if 'parquet' in name else '.jsonl')), ROWS)] * 2)
  rows.write(source, [0, 3, 6], str(tmp_path / 'new' / name))
  assert [row for _, row in rows.read(str(tmp_path / 'new' / name))] == [ROWS[i] for i in (0, 3, 1)]
  assert [path.name for path in (tmp_path / 'new').iterdir()] == [name]
  if name.endswith('.parquet'):
    assert parquet.read_schema(tmp_path / 'new' / name).equals(parquet.read_schema(tmp_path / 'a.parquet'))
  else:
    before = (tmp_path / 'new' / name).read_bytes()
    rows.write(source, [0, 3, 6], str(tmp_path / 'new' / name))
    assert (tmp_path / 'new' / name).read_bytes() == before  # no time in it


def test_write_from_records_with_line_ends(tmp_path):
  source = rows.Rows([write(tmp_path / 'a.array_record', [b'{"a":\n 1}', {'a': 2}])])
  rows.write(source, [0, 1], str(tmp_path / 'o.jsonl'))
  assert [row for _, row in rows.read(str(tmp_path / 'o.jsonl'))] == [{'a': 1}, {'a': 2}]


def test_write_whole_or_not_at_all(tmp_path):
  a = write(tmp_path / 'a.parquet', [{'a': 1}])
  b = write(tmp_path / 'b.parquet', [{'b': 'x'}])
  (tmp_path / 'o.parquet').write_text('before')
  with pytest.raises(ValueError, match='b.parquet cannot be written'):
    rows.write(rows.Rows([a, b]), [0, 1], str(tmp_path / 'o.parquet'))
  assert (tmp_path / 'o.parquet').read_text() == 'before'
  assert sorted(path.name for path in tmp_path.iterdir()) == ['a.parquet', 'b.parquet', 'o.parquet']


def test_outputs_that_cannot_be(tmp_path):
  source = rows.Rows([write(tmp_path / 'a.jsonl', ROWS)])
  for name, message in (('o.csv', 'ends in .jsonl'), ('o.parquet', 'from parquet files only'),
                        ('x/../a.jsonl', 'one of the files that are read')):
    with pytest.raises(ValueError, match=message):
      rows.write(source, [0], str(tmp_path / name))
