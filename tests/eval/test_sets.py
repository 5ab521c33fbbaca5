"""What a set is called, how it is asked, and what has to be said with its score."""

import json

import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.eval import sets


def write(path, rows) -> str:
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def read(files, preset='', *protocol, **options):
  return sets.read(
    sources.DataOptions(files, **options), preset, sets.Protocol(*protocol) if protocol else sets.OF_PRESET
  )


def test_a_preset_says_how(tmp_path):
  found = read(write(tmp_path / 'x.jsonl', [{'problem': 'p?', 'answer': '1', 'subject': 'algebra'}]), 'math500')
  protocol = found.name, found.samples, found.temperature, found.top_p, found.max_tokens
  assert protocol == ('math500', 64, 1.0, 0.95, 40_960)
  (row,) = found.rows
  assert row['problem'] == 'p?' and row['subject'] == 'algebra'
  assert row['prompt'].startswith("p? Let's think step by step")
  assert found.notes() == ['1 problems where the benchmark has 500'] and found.score_name(64) == 'avg@64'


def test_what_differs_is_said(tmp_path):
  found = read(write(tmp_path / 'x.jsonl', [{'problem': 'p?', 'answer': '1'}]), 'aime24', 4, -1, 1.0, 99)
  assert found.notes()[:3] == [
    'samples=4 where the protocol has 64',
    'top_p=1.0 where the protocol has 0.95',
    'max_tokens=99 where the protocol has 40960',
  ]


def test_public_tests_are_named(tmp_path):
  case = [{'input': '1', 'output': '1', 'testtype': 'stdin'}]
  row = {'problem': 'p', 'starter_code': '', 'tests': case, 'title': 'a'}
  found = read(write(tmp_path / 'x.jsonl', [row, row | {'title': 'b'}]), 'livecodebench_v5')
  assert found.score_name(8) == 'avg@8 (public tests only)' and 'public tests only' in found.notes()
  assert found.rows[0]['prompt'].startswith('You will be given a question')


def test_names_ids_and_subjects(tmp_path):
  rows = [{'prompt': 'p', 'answer': '1', 'id': 'same'}, {'prompt': 'q', 'answer': '2', 'id': 'same', 'level': 3}]
  files = write(tmp_path / 'mine.jsonl', rows)
  found = read(files, '', 2, 1.0, 0.9, 8)
  assert found.name == 'mine' and [row['id'] for row in found.rows] == ['same', 'same#2']
  assert [row['subject'] for row in found.rows] == ['', ''] and found.notes() == []
  assert [row['subject'] for row in read(files, '', 2, 1.0, 0.9, 8, domain='id').rows] == ['same', 'same']
  assert sets.name_of('a/b/gsm8k_test.jsonl.gz') == 'gsm8k_test' and sets.name_of('x/*.parquet') == 'set'


def test_the_digest_is_of_what_is_asked_and_how_it_is_judged(tmp_path):
  digest = lambda row, preset='': read(write(tmp_path / 'x.jsonl', [row]), preset, 2, 1.0, 0.9, 8).settings()['digest']
  row = {'prompt': 'p', 'answer': '1'}
  assert digest(row) == digest(row | {'url': 'elsewhere'})
  assert len({digest(row), digest(row | {'answer': '2'}), digest(row | {'prompt': 'q'})}) == 3
  assert digest(row, 'math500') == digest(row)  # a preset asks in the same words


def test_versions():
  found = sets.versions()
  assert len(found['sources']) == 16 and found['python'].startswith('3.') and found['math_verify']


def test_errors(tmp_path):
  with pytest.raises(ValueError, match='for maths'):
    read(write(tmp_path / 'x.jsonl', [{'prompt': 'p', 'tests': {'cases': [{'input': '', 'output': ''}]}}]), 'aime24')
