r"""What counts as an answer, where it stands, and rows that contradict each other."""

import json

import pyarrow
from pyarrow import parquet
import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.data.layouts import answers
from vibethinker_jax.eval import sets, stored


def write(path, *rows):
  path.write_text(''.join((row if isinstance(row, str) else json.dumps(row)) + '\n' for row in rows))
  return str(path)


def answer(tmp_path, row):
  (found,) = sources.read_problems(write(tmp_path / 'p.jsonl', row))
  return found['answer']


@pytest.mark.parametrize(
  'row, expected',
  [
    ({'final_answer': '2'}, '2'),
    ({'ground_truth': 2}, '2'),
    ({'target': '2'}, '2'),
    ({'expected_answer': '2'}, '2'),
    ({'gold': '2'}, '2'),
    ({'answer': '1', 'target': '2'}, '1'),
    ({'answer': None, 'final_answer': ['2']}, '2'),
    ({'answer': 'So $x=\\boxed{\\frac{1}{2}}$.'}, '\\frac{1}{2}'),
    ({'answer': '\\boxed{1}, \\boxed{2}'}, '\\boxed{1}, \\boxed{2}'),
    ({'answer': '\\boxed{7}'}, '7'),
    ({'final_answer': '#### 1,234'}, '1234'),
  ],
  ids=str,
)
def test_fields(tmp_path, row, expected):
  assert answer(tmp_path, {'question': 'q'} | row) == expected


@pytest.mark.parametrize(
  'solution, expected',
  [
    ('so $\\boxed{2}$', '2'),
    ('$\\boxed{1}$, then $\\boxed{\\frac{1}{\\sqrt{2}}}$.', '\\frac{1}{\\sqrt{2}}'),
    ('it is \\fbox{3}.', '3'),
    ('so $\\boxed 7$.', '7'),
    ('so \\boxed 7. Done', '7'),
    ('$\\boxed\\frac{1}{2}$', '\\frac{1}{2}'),
    ('$\\boxed {4}$', '4'),
    ('\\boxed{\\boxed{5}}', '5'),
    ('\\boxed{\\{1, 2\\}}', '\\{1, 2\\}'),
    ('\\boxed{\\left\\{x : x > 0\\right\\}}', '\\left\\{x : x > 0\\right\\}'),
    ('\\boxed{x\n= 6}', 'x\n= 6'),
    ('\\boxed{\\text{(C)}}', '\\text{(C)}'),
    ('a = <<1+1=2>>2\n#### 1,002', '1002'),
    (['\\boxed{2}'], '2'),
  ],
  ids=str,
)
def test_the_last_box_of_a_solution(tmp_path, solution, expected):
  row = {'problem': 'q', 'solution': solution}
  assert answer(tmp_path, row) == expected
  assert answer(tmp_path, row | {'answer': None}) == expected
  assert answer(tmp_path, row | {'answer': '9'}) == '9'


@pytest.mark.parametrize(
  'solution, reason',
  [
    ('it is 2', r'no \\boxed\{...\} is in the solution'),
    ('\\boxed{2', 'is not closed'),
    ('$\\boxed{1}$ \\boxed{ }', 'is empty'),
    ('\\boxedtext{2}', 'no '),
    ('\\boxed{\\frac{1}{2}', 'is not closed'),
    ('', 'no '),
    (['\\boxed{1}', '\\boxed{2}'], 'no '),
  ],
  ids=str,
)
def test_solutions_without_an_answer(tmp_path, solution, reason):
  path = write(tmp_path / 'p.jsonl', {'problem': 'a', 'solution': '\\boxed{1}'}, {'problem': 'b', 'solution': solution})
  with pytest.raises(ValueError, match=f'p.jsonl, line 2: a problem needs .*{reason}'):
    sources.read_problems(path)


def test_a_solution_is_a_response_too(tmp_path):
  path = write(tmp_path / 'p.jsonl', {'problem': 'a', 'solution': 'it is 2'})
  assert sources.FileExamples(sources.DataOptions(path))[0] == {'prompt': 'a', 'response': 'it is 2'}
  assert next(sources.read_traces(sources.DataOptions(path)))['answer'] == ''  # it would judge itself


@pytest.mark.parametrize(
  'value, reason',
  [
    ('NaN', 'the field "answer" is NaN'),
    ('false', 'it is false, which no response'),
    ('true', 'it is true, which no'),
    ('[true]', 'it is true'),
    ('null', 'nothing is there'),
    ('""', 'it is empty'),
    ('"  "', 'it is empty'),
    ('[]', 'it is list'),
    ('"nan"', 'it is nan'),
    ('1e999', 'it is inf'),
    ('["1", "2"]', 'it is list'),
    ('{"a": 1}', 'it is dict'),
    ('"\\\\boxed{}"', 'is empty'),
    ('"####"', 'it is empty'),
    ('"\\ud83d"', 'half a character'),
  ],
)
@pytest.mark.parametrize('field', ['answer', 'final_answer'])
def test_no_answers(tmp_path, field, value, reason):
  path = write(tmp_path / 'p.jsonl', {'problem': 'a', 'answer': 1}, f'{{"problem": "b", "{field}": {value}}}')
  with pytest.raises(ValueError, match='p.jsonl, line 2: .*' + reason.replace('"answer"', f'"{field}"')):
    sources.read_problems(path)


def test_no_answers_in_columns(tmp_path):
  for name, values, reason in (('b', [True, False], 'it is true'), ('n', [1.5, None], 'nothing is there')):
    parquet.write_table(pyarrow.table({'problem': ['a', 'b'], 'answer': values}), tmp_path / f'{name}.parquet')
    with pytest.raises(ValueError, match=f'{name}.parquet, row [12]: .*{reason}'):
      sources.read_problems(str(tmp_path / f'{name}.parquet'))


@pytest.mark.parametrize(
  'choices, value, expected',
  [
    (['yes', 'no'], True, 'A'),
    (['No', 'Yes'], True, 'B'),
    (['True', 'False'], False, 'B'),
    ([True, False], False, 'B'),
    (['True', 'False', 'Unknown'], True, 'A'),
    (['p', 'q'], 1, 'B'),
    (['p', 'q'], 'b', 'B'),
    (['p', 'q'], '(A)', 'A'),
    (['red', 'blue'], 'blue', 'B'),
    (['1', '2', '4'], '4', 'C'),
    (['p', 'q'], [0], 'A'),
    (['p', 'q'], 1.0, 'B'),
  ],
  ids=str,
)
def test_choices(tmp_path, choices, value, expected):
  assert answer(tmp_path, {'problem': 'x?', 'choices': choices, 'answer': value}) == expected
  assert answer(tmp_path, {'problem': 'x?', 'choices': choices, 'target': value}) == expected


@pytest.mark.parametrize(
  'choices, value, reason',
  [
    (['red', 'blue'], True, 'the choices do not say yes and no'),
    (['yes', 'yes'], True, 'do not say'),
    (['p', 'q'], 2, 'no index of 2'),
    (['p', 'q'], -1, 'no index'),
    (['p', 'q'], 'C', 'neither a letter'),
    (['p', 'q'], 'r', 'neither a letter'),
    ([], True, 'it is true'),
    (['p', 'q'], '', 'it is empty'),
  ],
  ids=str,
)
def test_answers_that_are_no_choice(tmp_path, choices, value, reason):
  with pytest.raises(ValueError, match=f'line 1: .*{reason}'):
    answer(tmp_path, {'problem': 'x?', 'choices': choices, 'answer': value})


PROTOCOL = sets.Protocol(1, 1.0, 1.0, 8)
DOORS = {
  'rl': sources.read_problems,
  'evaluate': lambda path: sets.read(sources.DataOptions(path), '', PROTOCOL),
  'responses': lambda path: stored.problems(sources.DataOptions(path)),
}


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize(
  'first, second',
  [
    ({'problem': 'What  is\n1+1?', 'answer': '2'}, {'question': 'What is 1+1?', 'final_answer': '3'}),
    ({'prompt': [{'role': 'user', 'content': 'p'}], 'answer': 2}, {'prompt': 'p', 'answer': '1,000'}),
    ({'problem': 'p', 'choices': ['a', 'b'], 'answer': 'A'}, {'problem': 'p', 'choices': ['a', 'b'], 'answer': 'B'}),
  ],
  ids=str,
)
def test_contradictions(tmp_path, door, first, second):
  other = {'problem': 'another', 'answer': '2'}
  path = write(tmp_path / 'p.jsonl', first, '', other, second)
  with pytest.raises(ValueError, match='p.jsonl, line 1 and .*p.jsonl, line 4: the same prompt with different answers'):
    DOORS[door](path)
  write(tmp_path / 'p.jsonl', first, other)
  write(tmp_path / 'q.jsonl', other, second, second)
  with pytest.raises(
    ValueError, match='p.jsonl, line 1 and .*q.jsonl, line 2: .*and 1 more rows like it: .*q.jsonl, line 3'
  ):
    DOORS[door](f'{tmp_path}/*.jsonl')


@pytest.mark.parametrize(
  'first, second',
  [
    ('2', 2),
    ('1,000', '1000'),
    ('2.0', '2'),
    ('$\\dfrac{1}{2}$', '\\frac{1}{2}'),
    ('(1, 2)', '(1,2)'),
    ('x ', 'x'),
    ('015', 15),
  ],
)
def test_other_spellings_are_no_contradiction(tmp_path, first, second):
  path = write(tmp_path / 'p.jsonl', {'problem': 'p', 'answer': first}, {'problem': 'p ', 'answer': second})
  assert len(sources.read_problems(path)) == 2


def test_what_is_no_contradiction(tmp_path):
  tests = lambda n: {'cases': [{'input': '', 'output': n}]}
  path = write(
    tmp_path / 'p.jsonl',
    {'problem': 'which?', 'choices': ['a', 'b'], 'answer': 'A'},
    {'problem': 'which?', 'choices': ['c', 'd'], 'answer': 'B'},
    {'problem': 'code', 'tests': tests('1')},
    {'problem': 'code', 'tests': tests('2')},
    {'problem': 'P', 'answer': '1'},
    {'problem': 'p', 'answer': '2'},
  )
  assert len(sources.read_problems(path)) == 6
  path = write(
    tmp_path / 'e.jsonl',
    {'problem': 'p', 'response': 'a', 'answer': '1'},
    {'problem': 'p', 'response': 'b', 'answer': '2'},
  )
  assert len(sources.FileExamples(sources.DataOptions(path))) == 2  # of responses there may be several


def test_spelling_keeps_what_differs():
  different = [
    '1',
    '10',
    '1.5',
    '1.50001',
    '-1',
    'x',
    '\\frac{1}{2}',
    '1,2',
    '1,23',
    '100',
    '1001',
    'A',
    'a',
    '0',
    '0.1',
  ]
  assert len({answers.spelling(x) for x in different}) == len(different)
