"""Rows as problems and as examples: which fields are found, what is kept, and what a bad row says."""

import gzip
import json
import os
import pathlib

import pyarrow
from pyarrow import parquet
import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.data.sources import DataOptions


def write(path, *rows):
  path.write_text(''.join((row if isinstance(row, str) else json.dumps(row)) + '\n' for row in rows))
  return str(path)


def examples(path, **fields):
  found = sources.FileExamples(DataOptions(str(path), **{'wording': 'none'} | fields))
  return [found[i] for i in range(len(found))]


def test_problems(tmp_path):
  tests = {'function': 'solve', 'cases': [{'args': [1], 'expected': 2}]}
  path = write(
    tmp_path / 'p.jsonl',
    {'prompt': 'a', 'answer': 7, 'extra': [1]},
    {'problem': 'b', 'tests': tests, 'id': 'x', 'domain': 'code'},
  )
  first, second = sources.read_problems(path)
  assert first == {
    'prompt': "a Let's think step by step and output the final answer within \\boxed{}.",
    'problem': 'a',
    'answer': '7',
    'tests': None,
    'id': '1',
    'domain': 'p.jsonl',
    'extra': [1],
  }
  assert (second['problem'], second['tests'], second['id'], second['domain']) == ('b', tests, 'x', 'code')
  assert sources.read_problems(DataOptions(path)) == [first, second]


def test_gzip(tmp_path):
  path = tmp_path / 'p.jsonl.gz'
  with gzip.open(path, 'wt') as file:
    file.write(json.dumps({'prompt': 'a', 'answer': '1'}) + '\n')
  assert sources.read_problems(str(path))[0]['answer'] == '1'


@pytest.mark.parametrize(
  'row, message',
  [
    ('{"prompt": "a"', 'line 2: not JSON'),
    ('[1]', 'line 2: a JSON object'),
    ({'prompt': 'a'}, r'line 2: a problem needs .*answer.*nothing is there; found prompt; data.answer names'),
    ({'prompt': 'a', 'answer': None}, 'line 2: a problem needs'),
    ({'prompt': 'a', 'answer': ''}, 'line 2: a problem needs'),
    ({'prompt': 'a', 'answer': {'x': 1}}, 'line 2: a problem needs .*it is dict'),
    ({'prompt': 'a', 'tests': '{'}, 'line 2: a problem needs'),
    ({'prompt': 'a', 'tests': {'inputs': ['1'], 'outputs': []}}, 'line 2: a problem needs'),
    ({'prompt': 3, 'answer': '1'}, 'line 2: a problem needs .*chat messages, it is int 3; found prompt, answer'),
    ({'prompt': [{'role': 'user'}], 'answer': '1'}, 'line 2: a problem needs'),
    ({'prompt': ' ', 'answer': 1}, 'line 2'),
  ],
)
def test_bad_problem_names_its_line(tmp_path, row, message):
  path = write(tmp_path / 'p.jsonl', {'prompt': 'a', 'answer': '1'}, row)
  with pytest.raises(ValueError, match=f'p.jsonl, {message}'):
    sources.read_problems(path)


def test_empty_and_missing_files(tmp_path):
  with pytest.raises(ValueError, match='is empty'):
    sources.read_problems(write(tmp_path / 'p.jsonl'))
  with pytest.raises(ValueError, match='no such data file'):
    sources.read_problems(str(tmp_path / 'none.jsonl'))


@pytest.mark.parametrize(
  'row, answer',
  [
    ({'question': 'q', 'answer': 'It is 1,200 + 34.\n#### 1,234'}, '1234'),
    ({'prompt': 'q', 'answer': '#### a\n#### 7 '}, '7'),
    ({'problem': 'q', 'answer': '1,2'}, '1,2'),
    ({'prompt': 'q', 'reward_model': {'ground_truth': 204}}, '204'),
    ({'prompt': 'q', 'answer': 0}, '0'),
    ({'prompt': 'q', 'answer': None, 'reward_model': {'ground_truth': 'x'}}, 'x'),
    ({'prompt': 'q', 'answer': [r'\frac12']}, r'\frac12'),
    ({'prompt': 'q', 'answer': 2.5}, '2.5'),
  ],
  ids=str,
)
def test_answers(tmp_path, row, answer):
  (found,) = sources.read_problems(write(tmp_path / 'p.jsonl', row))
  assert (found['problem'], found['answer']) == ('q', answer)


@pytest.mark.parametrize(
  'tests',
  [
    {'cases': [{'input': '1', 'output': '2'}]},
    [{'input': '1', 'output': '2'}],
    {'inputs': ['1'], 'outputs': ['2']},
    '{"inputs": ["1"], "outputs": ["2"]}',
  ],
  ids=str,
)
def test_forms_of_tests(tmp_path, tests):
  (found,) = sources.read_problems(write(tmp_path / 'p.jsonl', {'prompt': 'q', 'tests': tests}))
  assert (found['tests']['cases'], found['answer']) == ([{'input': '1', 'output': '2'}], '')
  assert ('limits' in found['tests']) == isinstance(tests, str)  # as published sets have it: they say no time for all


def test_the_verl_schema_in_parquet(tmp_path):
  rows = [
    {
      'data_source': 's',
      'prompt': [{'content': f'q{i}', 'role': 'user'}],
      'ability': 'math',
      'reward_model': {'ground_truth': i, 'style': 'rule'},
      'extra_info': {'index': i},
    }
    for i in range(3)
  ]
  parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / 'a.parquet')
  found = sources.read_problems(DataOptions(str(tmp_path / 'a.parquet'), wording='none'))
  turns = [{'role': 'user', 'content': 'q2'}]
  assert found[2] == rows[2] | {
    'prompt': turns,
    'problem': turns,
    'answer': '2',
    'tests': None,
    'id': '3',
    'domain': 'a.parquet',
  }
  json.dumps(found)  # no numpy in it: rows go to worker processes
  found = sources.read_problems(DataOptions(str(tmp_path / 'a.parquet'), domain='ability'))
  assert {row['domain'] for row in found} == {'math'}


def test_problems_of_several_files_have_ids_of_their_own(tmp_path):
  for name in 'ab':
    write(
      tmp_path / f'{name}.jsonl', {'prompt': name, 'answer': 1}, {'prompt': name * 2, 'answer': 2, 'id': f'{name}x'}
    )
  found = sources.read_problems(f'{tmp_path}/*.jsonl')
  assert [row['id'] for row in found] == ['a.jsonl:1', 'ax', 'b.jsonl:1', 'bx']


def test_fields_by_name_and_by_template(tmp_path):
  row = {'id': 7, 'q': {'text': 'What?'}, 'gold': {'final': '4'}, 'kind': 'algebra', 'why': 'since'}
  options = DataOptions(
    write(tmp_path / 'p.jsonl', row),
    prompt='{q.text}\nUse \\boxed{{}}.',
    answer='gold.final',
    response='{why}: \\boxed{{{gold.final}}}',
    domain='topic|kind',
  )
  (found,) = sources.read_problems(options)
  assert (found['prompt'], found['answer'], found['domain']) == ('What?\nUse \\boxed{}.', '4', 'algebra')
  source = sources.FileExamples(options)
  assert source[0] == {'prompt': 'What?\nUse \\boxed{}.', 'response': 'since: \\boxed{4}'}


@pytest.mark.parametrize(
  'fields, message',
  [
    (dict(prompt='{text}'), r"template '\{text\}' needs 'text' to be text in the row; found prompt, response, none"),
    (dict(prompt='{none}'), "needs 'none'"),
    (dict(prompt='{prompt'), 'malformed'),
    (dict(prompt='{}'), "needs ''"),
    (dict(prompt='\\boxed{}'), r'Braces that stay are written \{\{ and \}\}'),
    (dict(prompt='{prompt:>4}'), 'needs'),
    (dict(response='text'), "response .'text'. must be text.*nothing is there"),
    (dict(response='none'), 'nothing is there'),
    (dict(response='{prompt} {response.x}'), "needs 'response.x'"),
  ],
  ids=str,
)
def test_wrong_fields(tmp_path, fields, message):
  path = write(tmp_path / 'p.jsonl', {'prompt': 'a', 'response': 'b', 'none': None})
  with pytest.raises(ValueError, match=f'p.jsonl, line 1: an example needs prompt and response; .*{message}'):
    examples(path, **fields)


def test_a_domain_that_is_asked_for_is_needed(tmp_path):
  with pytest.raises(ValueError, match=r"line 1: .*domain \('kind'\)"):
    sources.read_problems(DataOptions(write(tmp_path / 'p.jsonl', {'prompt': 'a', 'answer': 'b'}), domain='kind'))


def test_examples(tmp_path):
  path = write(tmp_path / 'e.jsonl', {'prompt': 'a', 'response': 'b', 'more': 1}, {'prompt': 'c', 'response': 'd'})
  assert examples(path) == [{'prompt': 'a', 'response': 'b'}, {'prompt': 'c', 'response': 'd'}]
  for row in (
    {'prompt': 'a', 'answer': 'b'},
    {'prompt': 'a', 'response': ''},
    {'response': 'a'},
    {'prompt': 'a', 'response': []},
    {'prompt': 'a', 'response': ['b', 3]},
  ):
    with pytest.raises(ValueError, match='line 2: an example needs prompt and response'):
      examples(write(tmp_path / 'e.jsonl', {'prompt': 'a', 'response': 'b'}, row))


@pytest.mark.parametrize(
  'row',
  [
    {'problem': 'a', 'solution': 'b'},
    {'question': 'a', 'answer': '1', 'solutions': ['b']},
    {'prompt': 'a', 'responses': 'b'},
    {'problem': 'a', 'messages': [{'role': 'user', 'content': 'x'}], 'solution': 'b'},
  ],
  ids=str,
)
def test_names_that_are_found(tmp_path, row):
  assert examples(write(tmp_path / 'e.jsonl', row)) == [{'prompt': 'a', 'response': 'b'}]


def test_messages(tmp_path):
  turns = [{'role': role, 'content': str(i)} for i, role in enumerate(('system', 'user', 'assistant', 'user'))]
  path = write(tmp_path / 'e.jsonl', {'messages': turns + [{'role': 'assistant', 'content': 'b'}], 'answer': '7'})
  assert examples(path) == [{'prompt': turns, 'response': 'b'}]
  assert sources.read_problems(path)[0]['problem'] == turns
  with pytest.raises(ValueError, match='line 1: an example needs'):
    examples(write(tmp_path / 'e.jsonl', {'messages': turns}))


def test_every_path_to_an_answer_is_an_example(tmp_path):
  path = write(
    tmp_path / 'e.jsonl',
    {'problem': 'p', 'solutions': ['a', 'b', 'c'], 'answer': '1'},
    {'problem': 'q', 'solutions': ['d'], 'answer': '2'},
    {'problem': 'r', 'solutions': ['e', 'f'], 'answer': '3'},
  )
  expected = [('p', x) for x in 'abc'] + [('q', 'd')] + [('r', x) for x in 'ef']
  found = sources.FileExamples(DataOptions(path, wording='none'))
  assert len(found) == 6 and [tuple(found[i].values()) for i in (5, 0, 3, 2, 1, 4)] == [
    expected[i] for i in (5, 0, 3, 2, 1, 4)
  ]
  filled = examples(path, response='{solutions} \\boxed{{{answer}}}')
  assert [x['response'] for x in filled] == [f'{x} \\boxed{{{n}}}' for x, n in zip('abcdef', '111233')]


def test_sources_of_files_and_of_weights(tmp_path):
  for name, size in (('a1', 2), ('a2', 3), ('b', 4)):
    write(tmp_path / f'{name}.jsonl', *({'prompt': name, 'response': str(i)} for i in range(size)))
  files = f'{tmp_path}/a*.jsonl,{tmp_path}/b.jsonl'
  assert [len(source) for source in sources.examples(DataOptions(files))] == [9]
  assert [len(source) for source in sources.examples(DataOptions(files, weights=(1, 0.5)))] == [5, 4]
  for weights in ((1,), (1, 2, 3), (1, 0), (1, -1), (1, '2')):
    with pytest.raises(ValueError, match='data.weights=.*2 entries'):
      sources.examples(DataOptions(files, weights=weights))
  with pytest.raises(ValueError, match='weights are for sft'):
    sources.read_problems(DataOptions(files, weights=(1, 2)))
  assert repr(sources.examples(DataOptions(f'{tmp_path}/b.jsonl'))[0]).endswith('b.jsonl: 4 rows, 4 examples)')


def test_traces(tmp_path):
  path = write(
    tmp_path / 'e.jsonl', {'problem': 'p', 'solutions': ['a', 'b'], 'answer': 1}, {'prompt': 'q', 'response': 'c'}
  )
  assert list(sources.read_traces(DataOptions(path, wording='none'))) == [
    {'prompt': 'p', 'problem': 'p', 'answer': '1', 'tests': None, 'domain': 'e.jsonl', 'response': x} for x in 'ab'
  ] + [{'prompt': 'q', 'problem': 'q', 'answer': '', 'tests': None, 'domain': 'e.jsonl', 'response': 'c'}]


REAL = pathlib.Path(os.environ.get('VIBETHINKER_DATA', ''))


@pytest.mark.skipif('VIBETHINKER_DATA' not in os.environ, reason='VIBETHINKER_DATA names no folder of public data sets')
@pytest.mark.parametrize(
  'name, rows',
  [
    ('gsm8k_train.jsonl.gz', 7473),
    ('aime24.parquet', 30),
    ('aime24.jsonl.gz', 30),
    ('math500.jsonl.gz', 500),
    ('codeforces_408.jsonl.gz', 408),
    ('code_contests_test_165.jsonl.gz', 165),
  ],
)
def test_public_sets(name, rows):
  found = sources.read_problems(str(REAL / name))
  assert len(found) == rows and all(row['tests'] or row['answer'] for row in found)
  assert all('cases' in row['tests'] for row in found if row['tests'])
  if name.startswith('gsm8k'):
    source = sources.FileExamples(DataOptions(str(REAL / name)))
    assert len(source) == rows and '####' in source[5]['response']
    again = DataOptions(str(REAL / name), answer='solution')  # what GSM8K calls the answer
    assert [row['answer'] for row in sources.read_problems(again)] == [row['answer'] for row in found]


def test_synthetic_examples_meet_every_style():
  source = sources.SyntheticExamples(('algebra',), (1,), 0, 1000, ('linear_equation',))
  starts = {source[i]['response'].split('>')[1][:4] for i in range(60)}
  assert len(starts) >= 3 and source[5] == source[5]


def test_gsm8k_solutions_end_in_a_box(tmp_path):
  text = 'Natalia sold 48/2 = <<48/2=24>>24 clips.\nAll: 48+24 = $<<48+24=72>>1,072.\n#### 1,072'
  path = tmp_path / 'train.jsonl'
  path.write_text(json.dumps({'question': 'q', 'answer': text}) + '\n')
  options = sources.DataOptions(str(path), response='solution|answer', prompt='{problem|question}?')
  assert sources.FileExamples(options)[0] == {
    'prompt': 'q?',
    'response': 'Natalia sold 48/2 = 24 clips.\nAll: 48+24 = $1,072.\n\\boxed{1,072}',
  }
  assert sources.read_problems(options)[0]['answer'] == '1072'


def test_rows_with_constraints_are_problems(tmp_path):
  path = tmp_path / 'instructions.jsonl'
  path.write_text('{"prompt": "Write.", "constraints": [{"kind": "words", "max": 5}]}\n')
  assert sources.read_problems(str(path))[0]['constraints'] == [{'kind': 'words', 'max': 5}]
  path.write_text('{"prompt": "Write.", "constraints": []}\n')
  with pytest.raises(ValueError, match='constraints'):
    sources.read_problems(str(path))


def test_traces_keep_what_a_verifier_of_the_user_reads(tmp_path):
  path = tmp_path / 't.jsonl'
  path.write_text(json.dumps({'problem': 'p', 'solutions': ['a', 'b'], 'answer': 1, 'extra': {'n': 2}}) + '\n')
  traces = list(sources.read_traces(sources.DataOptions(str(path))))
  assert [t['response'] for t in traces] == ['a', 'b']
  assert all(t['extra'] == {'n': 2} and 'solutions' not in t and t['problem'] == 'p' for t in traces)
