"""`decontaminate` as a user calls it: what goes, what stays unchanged, and what the report says."""

import gzip
import json
import os
import pathlib
import subprocess
import sys

import pyarrow
from pyarrow import parquet
import pytest

from vibethinker_jax import decontaminate

PROBLEM = 'How many positive integers less than 100 are divisible by 7 or by 11 but not both?'
SUFFIX = 'Please reason step by step, and put your final answer within \\boxed{}.'
SYSTEM = 'You are a very helpful assistant who answers all questions well.'
CHAT = [{'role': 'system', 'content': SYSTEM}, {'role': 'user', 'content': f'{PROBLEM} {SUFFIX}'}]
EVALUATION = [{'prompt': CHAT, 'answer': '1'}, {'problem': f'What is 2 + 2? {SUFFIX}'}, {'problem': 'Compute cos 150.'}]
TRAINING = [
  '{"problem": "Something else entirely.",  "solution": "Yes.", "n": 1.0}',
  json.dumps({'problem': PROBLEM.upper().replace(' ', '  '), 'solution': 'x'}),
  json.dumps({'prompt': 'hi', 'response': f'The task says: {PROBLEM}'}),
  json.dumps({'prompt': SYSTEM, 'responses': ['a', 'b']}),
  json.dumps({'prompt': 'Compute: cos(150)?', 'response': 'c'}),
]


def write(path, *rows):
  text = ''.join((row if isinstance(row, str) else json.dumps(row)) + '\n' for row in rows)
  path.write_bytes(gzip.compress(text.encode()) if path.suffix == '.gz' else text.encode())
  return str(path)


def run(tmp_path, output, train=None, ignore_common=0, **fields):
  fields = {'train_fields': ['prompt', 'response'], 'against_fields': ['prompt'], **fields}
  train = train or write(tmp_path / 'train.jsonl', *TRAINING)
  against = write(tmp_path / 'eval.jsonl', *EVALUATION)
  return decontaminate.run(train, against, str(tmp_path / output), 10, ignore_common=ignore_common, **fields)


@pytest.mark.parametrize('output', ['clean.jsonl', 'clean.jsonl.gz'])
def test_kept_rows_are_the_lines_that_were(tmp_path, output):
  report = run(tmp_path, output)
  opened = gzip.open if output.endswith('.gz') else open
  with opened(tmp_path / output, 'rt') as file:
    assert file.read().splitlines() == [TRAINING[0], TRAINING[3]]
  assert json.loads((tmp_path / f'{output}.report.json').read_text()) == report
  assert (report['rows'], report['dropped'], report['kept'], report['evaluation_rows_hit']) == (5, 3, 2, 2)
  assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
    ['train.jsonl', 'eval.jsonl', output, f'{output}.report.json']
  )


def test_the_report_says_why(tmp_path):
  report = run(tmp_path, 'clean.jsonl')
  train, evaluation = f'{tmp_path}/train.jsonl', f'{tmp_path}/eval.jsonl'
  first, second, third = report['dropped_rows']
  assert first == {
    'file': train,
    'line': 2,
    'ngrams_shared': 8,
    'against': {'file': evaluation, 'line': 1},
    'ngram': 'how many positive integers less than 100 are divisible by',
  }
  assert (second['line'], second['ngrams_shared']) == (3, 8)
  assert (third['line'], third['ngram'], third['against']['line']) == (5, 'compute cos 150', 3)
  assert report['dropped_by_evaluation_file'] == {evaluation: 3}
  assert report['matched_whole'] == [{'file': evaluation, 'line': 3}]
  assert report['most_frequent_ngrams'][0]['rows'] == 2 and len(report['most_frequent_ngrams']) == 9
  text = decontaminate.summary(report)
  for part in ('dropped 3 (60.0%)', 'kept 2', 'train.jsonl, 2: "how many', 'eval.jsonl, 1', 'clean.jsonl.report.json'):
    assert part in text


def test_boilerplate_can_be_ignored(tmp_path):
  rows = [{'prompt': f'Task number n{i}. {SUFFIX}', 'response': 'a'} for i in range(30)]
  train = write(tmp_path / 't.jsonl', *rows, TRAINING[1])
  for ignore_common in (0, 30):  # in 30 rows, which is not more than 30
    with pytest.raises(ValueError, match='all 31 rows share'):
      run(tmp_path, 'clean.jsonl', train, ignore_common)
    assert not (tmp_path / 'clean.jsonl').exists()
  report = json.loads((tmp_path / 'clean.jsonl.report.json').read_text())
  assert '--ignore_common=20' in decontaminate.summary(report | {'ignore_common': 0})
  report = run(tmp_path, 'clean.jsonl', train, ignore_common=29)
  assert [row['line'] for row in report['dropped_rows']] == [31]
  assert len((tmp_path / 'clean.jsonl').read_text().splitlines()) == report['kept'] == 30
  assert {x['rows'] for x in report['ignored_ngrams']} == {30} and len(report['ignored_ngrams']) == 3
  assert 'ignored: in more than 29' in decontaminate.summary(report)


def test_parquet_stays_parquet(tmp_path):
  rows = [
    {'data_source': 's', 'prompt': [{'role': 'user', 'content': text}], 'extra_info': {'i': i}}
    for i, text in enumerate(('a', PROBLEM, 'b'))
  ]
  for name in ('x', 'y'):
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / f'{name}.parquet')
  report = run(tmp_path, 'clean.parquet', f'{tmp_path}/*.parquet')
  assert parquet.read_table(tmp_path / 'clean.parquet').to_pylist() == [rows[0], rows[2]] * 2
  assert [(row['file'][-9:], row['line']) for row in report['dropped_rows']] == [('x.parquet', 2), ('y.parquet', 2)]
  with pytest.raises(ValueError, match='from parquet files only'):
    run(tmp_path, 'other.parquet')


def test_fields(tmp_path):
  train = write(tmp_path / 't.jsonl', {'text': 'q', 'notes': {'a': [PROBLEM]}}, {'text': 'q', 'notes': {'a': []}})
  assert run(tmp_path, 'o.jsonl', train, train_fields=['text'])['dropped'] == 0
  assert run(tmp_path, 'o.jsonl', train, train_fields=['code|text', 'notes.a'])['dropped'] == 1
  with pytest.raises(ValueError, match='t.jsonl, line 1: .*prompt.*--train_fields'):
    run(tmp_path, 'o.jsonl', train)
  with pytest.raises(ValueError, match="t.jsonl, line 1: the field 'notes' must be text"):
    run(tmp_path, 'o.jsonl', train, train_fields=['notes'])
  with pytest.raises(ValueError, match="eval.jsonl, line 1: the field 'none'"):
    run(tmp_path, 'o.jsonl', against_fields=['none'])


def command(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'vibethinker_jax.decontaminate', *arguments], capture_output=True, text=True, timeout=120
  )


def test_the_command(tmp_path):
  train, against = write(tmp_path / 't.jsonl.gz', *TRAINING), write(tmp_path / 'e.jsonl', *EVALUATION)
  done = command(f'--train={train}', f'--against={against}', f'--output={tmp_path}/o.jsonl.gz')
  assert done.returncode == 0 and 'dropped 3 (60.0%)' in done.stdout and 'arning' not in done.stderr, done.stderr
  done = command(f'--train={train}', f'--against={tmp_path}/none.jsonl', f'--output={tmp_path}/o.jsonl')
  assert done.returncode == 1 and done.stderr.strip().endswith(f'error: no such data file: {tmp_path}/none.jsonl')
  assert '--ignore_common' in command('--help').stdout


def test_it_needs_no_jax():
  code = 'import sys, vibethinker_jax.decontaminate; sys.exit("jax" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code], timeout=120).returncode == 0


REAL = pathlib.Path(os.environ.get('VIBETHINKER_DATA', ''))


@pytest.mark.skipif('VIBETHINKER_DATA' not in os.environ, reason='VIBETHINKER_DATA names no folder of public data sets')
def test_public_sets(tmp_path):
  """Every row of MATH's test half that MATH-500 took is found; its training half loses a few percent, in seconds."""
  fields = dict(train_fields=['prompt', 'response'], against_fields=['prompt'])
  against = f'{REAL}/math500.jsonl.gz'
  found = decontaminate.run(f'{REAL}/math_test.jsonl.gz', against, f'{tmp_path}/o.jsonl', 10, **fields)
  dropped = {row['line'] for row in found['dropped_rows']}
  rows = [json.loads(line) for line in gzip.open(REAL / 'math_test.jsonl.gz', 'rt')]
  taken = {i for i, row in enumerate(rows, 1) if row['in_math500']}
  assert len(taken) >= 490 and taken <= dropped and len(dropped) < 1200
  against = f'{REAL}/aime24.parquet,{REAL}/math500.jsonl.gz'
  found = decontaminate.run(f'{REAL}/math_train.jsonl.gz', against, f'{tmp_path}/p.jsonl.gz', 10, **fields)
  assert 300 < found['dropped'] < 700 and found['seconds'] < 30
