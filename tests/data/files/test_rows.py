"""Every format gives the same rows, by index; what is wrong is named with its file and line."""

import gzip
import json

import pyarrow
from pyarrow import parquet
import pytest

from vibethinker_jax.data.files import rows

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
    (str(tmp_path), 'is a folder'),
    (f'{tmp_path}/c*.jsonl', r'c\*.jsonl \(nothing matches\)'),
    (f'{tmp_path}/a.jsonl,{tmp_path}/c.jsonl', 'no such data file: .*c.jsonl'),
    (' , ', 'no data'),
  ):
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


@pytest.mark.parametrize(
  'line, message',
  [
    ('{"a": ', r'not JSON \(.*every line is one JSON object'),
    ('[1]', 'a JSON object is needed, not list'),
    ('NULL', 'not JSON'),
    ('7', 'a JSON object is needed, not int'),
  ],
)
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


CUT_OFF = gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)[:-20]  # no time in it: both pytest processes see the same names


@pytest.mark.parametrize(
  'name, data',
  [
    ('a.parquet', b'no parquet'),
    ('a.jsonl.gz', b'no gzip'),
    ('a.json', b'[{"a": 1}, '),
    ('a.json.gz', b'no gzip'),
    ('a.jsonl.gz', CUT_OFF),
    ('a.array_record', b'no record'),
  ],
)
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
  for name, message in (
    ('o.csv', 'ends in .jsonl'),
    ('o.parquet', 'from parquet files only'),
    ('x/../a.jsonl', 'one of the files that are read'),
  ):
    with pytest.raises(ValueError, match=message):
      rows.write(source, [0], str(tmp_path / name))


PACK = pytest.mark.parametrize('name', ['a.jsonl', 'a.jsonl.gz', 'A.JSONL', 'a.txt'])


def packed(path, content: bytes):
  path.write_bytes(gzip.compress(content) if path.name.endswith('.gz') else content)
  return str(path)


@PACK
def test_marks_empty_lines_and_line_ends(tmp_path, name):
  content = (
    '\ufeff\n{"a": 1}\r\n   \r\n\u3000\n\ufeff{"a": "ü"}\n\n\t\n{"a": 3}'  # two files with marks, one after the other
  )
  path = packed(tmp_path / name, content.encode())
  assert list(rows.read(path)) == [
    (f'{path}, line 2', {'a': 1}),
    (f'{path}, line 5', {'a': 'ü'}),
    (f'{path}, line 8', {'a': 3}),
  ]
  bad = packed(tmp_path / name, content.replace('"ü"', '').encode())
  with pytest.raises(ValueError, match='line 5: not JSON'):
    list(rows.read(bad))


@PACK
def test_files_without_a_row(tmp_path, name):
  for content in (b'', b'\n', b'\xef\xbb\xbf', b'\xef\xbb\xbf\n  \n'):
    with pytest.raises(ValueError, match='is empty'):
      rows.Rows([packed(tmp_path / name, content)])


@PACK
@pytest.mark.parametrize('coding', ['utf-16', 'utf-16-le', 'utf-16-be', 'utf-32'])
def test_other_encodings(tmp_path, name, coding):
  with pytest.raises(ValueError, match=r'is not UTF-8 but UTF-(16|32): convert it, .*iconv -f UTF-(16|32) -t UTF-8'):
    rows.Rows([packed(tmp_path / name, '{"a": 1}\n'.encode(coding))])


@pytest.mark.parametrize('name', ['a.json', 'a.json.gz', 'a.jsonl', 'a.JSON'])
@pytest.mark.parametrize(
  'value',
  [
    {'data': ROWS},
    {'rows': ROWS},
    {'examples': ROWS},
    {'problems': ROWS},
    {'train': ROWS},
    {'whatever': ROWS},
    {'version': '1.0', 'tags': ['a', 'b'], 'about': {'by': 'me'}, 'data': ROWS},
    ROWS,
  ],
  ids=lambda v: str(v)[:20],
)
@pytest.mark.parametrize('layout', [None, 2])
def test_an_object_that_holds_the_rows(tmp_path, name, value, layout):
  path = packed(tmp_path / name, ('\ufeff' + json.dumps(value, indent=layout)).encode())
  assert list(rows.read(path)) == [(f'{path}, row {i + 1}', row) for i, row in enumerate(ROWS)]


@pytest.mark.parametrize(
  'row',
  [
    {'problem': 'p', 'tests': [{'input': '', 'output': ''}]},
    {'messages': [{'role': 'user', 'content': 'p'}]},
    {'turns': [{'role': 'user', 'content': 'p'}]},
    {'prompt': 'p', 'data': [{'x': 1}]},
    {'a': 1},
  ],
)
def test_an_object_that_is_a_row(tmp_path, row):
  for layout in (None, 1):
    path = packed(tmp_path / 'a.json', json.dumps(row, indent=layout).encode())
    assert [found for _, found in rows.read(path)] == [row]
  path = packed(tmp_path / 'b.json', (json.dumps(row) + '\n' + json.dumps(row)).encode())
  assert [found for _, found in rows.read(path)] == [row] * 2


@pytest.mark.parametrize(
  'value, message',
  [
    ({'train': ROWS, 'test': ROWS}, r'several lists of rows \(train, test\): put each into a file'),
    ({'data': []}, 'is empty'),
    ({'data': [], 'version': 1}, 'is empty'),
    ({'data': [3]}, 'row 1: a JSON object is needed'),
    ({str(i): row for i, row in enumerate(ROWS)}, 'an object of 5 objects: make a list'),
  ],
  ids=lambda v: str(v)[:20],
)
def test_an_object_that_is_neither(tmp_path, value, message):
  for layout in (None, 1):
    with pytest.raises(ValueError, match=message):
      list(rows.read(packed(tmp_path / 'a.json', json.dumps(value, indent=layout).encode())))


def test_a_file_is_what_its_first_bytes_say(tmp_path):
  (tmp_path / 'a.jsonl').write_bytes(gzip.compress(b'{"a": 1}\n'))
  parquet.write_table(pyarrow.table({'a': [2]}), tmp_path / 'b.pq')
  assert [row for _, row in rows.read(f'{tmp_path}/*')] == [{'a': 1}, {'a': 2}]
  for mark, what in ((b'PK\x03\x04', 'zip'), (b'\x28\xb5\x2f\xfd', 'zstd')):
    (tmp_path / 'c.jsonl').write_bytes(mark + b'..........')
    with pytest.raises(ValueError, match=f'c.jsonl is .*{what}'):
      rows.Rows([str(tmp_path / 'c.jsonl')])


@pytest.mark.parametrize(
  'text, field', [('{"a": 1, "b": NaN}', 'b'), ('{"a": {"c": [1, -Infinity]}}', 'a'), ('{"a": Infinity}', 'a')]
)
@pytest.mark.parametrize('name', ['a.jsonl', 'a.jsonl.gz', 'a.json', 'a.array_record'])
def test_no_numbers(tmp_path, name, text, field):
  values = [{'a': 1}, text] if 'record' not in name else [{'a': 1}, text.encode()]
  path = write(tmp_path / name, [{'a': 1}, json.loads(text)] if name == 'a.json' else values)
  with pytest.raises(
    ValueError, match=f'{name}, (line|row) 2: the field "{field}" is -?(NaN|Infinity), which is no value'
  ):
    list(rows.read(path))


def test_no_numbers_in_a_column(tmp_path):
  parquet.write_table(pyarrow.table({'problem': ['p', 'q'], 'answer': [1.0, float('nan')]}), tmp_path / 'a.parquet')
  with pytest.raises(ValueError, match='a.parquet, row 2: the field "answer" is NaN'):
    list(rows.read(str(tmp_path / 'a.parquet')))


@pytest.mark.parametrize('half', ['\\ud83d', '\\uD83D x', '\\udc00', 'a\\ude00\\ud83d'])
@pytest.mark.parametrize(
  'row', ['{"p": "x", "q": "%s"}', '{"p": "x", "q": {"y": ["%s"]}}', '{"p": "x", "q": {"%s": 1}}']
)
@pytest.mark.parametrize('name', ['a.jsonl', 'a.jsonl.gz', 'a.json'])
def test_half_a_character(tmp_path, name, row, half):
  whole = '{"p": "\\ud83d\\ude00 \\\\ud83d"}'  # a pair, and an escaped backslash
  text = row % half
  path = write(tmp_path / name, [json.loads(whole), json.loads(text)] if name == 'a.json' else [whole, text])
  found = rows.Rows([path])
  assert found[0] == {'p': '\U0001f600 \\ud83d'}
  with pytest.raises(ValueError, match=f'{name}, (line|row) 2: the field "q" has half a character'):
    found[1]


@pytest.mark.parametrize('name', ['a.jsonl', 'a.json', 'a.jsonl.gz'])
def test_brackets_without_end(tmp_path, name):
  deep = '{"a": ' + '[' * 100_000 + ']' * 100_000 + '}'
  for text in (deep, deep + '\n' + deep, deep[6:-1]):
    with pytest.raises(ValueError, match=f'{name}.*(nested too deeply|recursion|JSON object is needed)'):
      list(rows.read(packed(tmp_path / name, text.encode())))


def test_a_million_rows_take_no_more_than_their_offsets(tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_bytes(b''.join(b'{"a": %d}\n' % i + b'\n' * (i % 1000 == 0) for i in range(1_000_000)))
  found = rows.Rows([str(path)])
  assert len(found) == 1_000_000 and found[999_999] == {'a': 999_999} and found.number(999_999) == 1_001_000
