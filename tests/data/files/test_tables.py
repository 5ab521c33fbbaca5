"""CSV and TSV as spreadsheets and scripts write them."""

import gzip

import pytest

from vibethinker_jax.data.files import rows

WANTED = [{'problem': 'What is 1,5 + 1; 5?', 'answer': '3'}, {'problem': 'He said "two"\nand\tmore.', 'answer': '2'}]


def read(path, content, opened=lambda x: x):
  path.write_bytes(opened(content.encode() if isinstance(content, str) else content))
  return [row for _, row in rows.read(str(path))]


@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('delimiter', [',', ';', '\t', '|'])
@pytest.mark.parametrize('name', ['a.csv', 'A.CSV', 'a.tsv', 'a.csv.gz', 'a.TSV.GZ'])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
def test_any_delimiter(tmp_path, name, delimiter, end, mark):
  lines = [
    f'problem{delimiter}answer',
    f'"What is 1,5 + 1; 5?"{delimiter}3',
    '',
    f'"He said ""two""\nand\tmore."{delimiter}2',
  ]
  found = read(tmp_path / name, mark + end.join(lines), gzip.compress if name.lower().endswith('gz') else lambda x: x)
  assert found == WANTED


def test_the_other_delimiter_in_the_header_and_in_every_row(tmp_path):
  assert read(tmp_path / 'a.csv', '"problem";"answer, short";level\n"1, 2, 3, ...";4;1\n"a, b, c";d;2\n')[1] == {
    'problem': 'a, b, c',
    'answer, short': 'd',
    'level': '2',
  }
  assert read(tmp_path / 'a.csv', 'problem;answer\n1,5 + 1,5?;3,0\n2,5 + 2,5?;5,0\n') == [
    {'problem': '1,5 + 1,5?', 'answer': '3,0'},
    {'problem': '2,5 + 2,5?', 'answer': '5,0'},
  ]
  assert read(tmp_path / 'a.csv', 'problem,answer\n"a; b; c",1\n') == [{'problem': 'a; b; c', 'answer': '1'}]
  assert read(tmp_path / 'a.csv', 'text\nonly; one, column\n'.replace(', ', ' ')) == [{'text': 'only; one column'}]
  assert read(tmp_path / 'a.csv', 'sep=;\nproblem;answer\na, b;1\n') == [{'problem': 'a, b', 'answer': '1'}]


def test_quotes_that_are_text_in_tables_with_tabs(tmp_path):
  text = 'problem\tanswer\n"Twelve" is how many?\t12\nSay "a"\t1\n"open\t3\n'
  assert [row['problem'] for row in read(tmp_path / 'a.tsv', text)] == ['"Twelve" is how many?', 'Say "a"', '"open']


def test_lines_are_those_of_the_file(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_text('problem,answer\n\n"two\nlines",1\n , \nb,2\n')
  assert [place for place, _ in rows.read(str(path))] == [f'{path}, line 3', f'{path}, line 6']
  assert rows.Rows([str(path)]).number(1) == 6


def test_a_long_text(tmp_path):
  assert len(read(tmp_path / 'a.csv', 'problem,solution\np,"' + 'x' * 300_000 + '"\n')[0]['solution']) == 300_000


def test_missing_cells_are_null(tmp_path):
  assert read(tmp_path / 'a.csv', 'a,b\n1\n2,3,,\n') == [{'a': '1', 'b': None}, {'a': '2', 'b': '3'}]


@pytest.mark.parametrize(
  'content, message',
  [
    ('problem,answer\na,b,c\n', 'line 2: 3 columns where the header has 2'),
    ('problem,answer\na,1\n"never closed,2\nb,3\n', 'line 3: cannot be read as CSV .*quotation mark'),
    ('problem;answer\na;1\n"never closed;2\nb;3\n', 'line 3: cannot be read as CSV .*quotation mark'),
    ('answer,problem,answer\n1,2,3\n', "line 1: the header names 'answer' twice"),
    ('problem,answer\n', 'is empty'),
    ('', 'is empty'),
    ('\ufeff', 'is empty'),
    ('\n\n', 'is empty'),
    ('problem,answer\nZürich,1\n'.encode('latin-1'), 'is not UTF-8 .*iconv'),
    ('problem,answer\na,1\n'.encode('utf-16'), 'is not UTF-8 but UTF-16.*iconv'),
    ('problem,answer\na,1\n'.encode('utf-16-le'), 'is not UTF-8 but UTF-16'),
    ('problem,answer\na,1\n'.encode('utf-32'), 'is not UTF-8 but UTF-32'),
  ],
  ids=range(12),
)
@pytest.mark.parametrize('name', ['a.csv', 'a.csv.gz'])
def test_what_is_no_table(tmp_path, name, content, message):
  with pytest.raises(ValueError, match=f'{name},? {message}'):
    read(tmp_path / name, content, gzip.compress if name.endswith('gz') else lambda x: x)
