"""LiveCodeBench's own form, made here in its documented encoding, and pickles that would run code."""

import base64
import json
import os
import pickle
import zlib

import pytest

from vibethinker_jax.data import presets, sources
from vibethinker_jax.data.layouts import livecodebench
from vibethinker_jax.verify.code import programs as code

STDIN = [{'input': '1 2\n', 'output': '3\n', 'testtype': 'stdin'}]
PRIVATE = [
  {'input': '5 6\n', 'output': '11\n', 'testtype': 'stdin'},
  {'input': '0 0\n', 'output': '0\n', 'testtype': 'stdin'},
]
CALLS = [{'input': '5\n[[2, 4], [0, 2]]', 'output': '[3, 2]', 'testtype': 'functional'}]
STARTER = 'class Solution:\n    def f(self, n: int, q: List[List[int]]) -> List[int]:\n        '


def packed(value) -> str:
  """As the data set's makers write it: base64 of zlib of a pickle of JSON text."""
  return base64.b64encode(zlib.compress(pickle.dumps(value))).decode('utf-8')


def row(**changes) -> dict:
  return {
    'question_title': 'Sum',
    'question_content': 'Print a + b.',
    'platform': 'atcoder',
    'question_id': 'abc1_a',
    'contest_id': 'abc1',
    'contest_date': '2025-03-01T00:00:00',
    'starter_code': '',
    'difficulty': 'easy',
    'public_test_cases': json.dumps(STDIN),
    'private_test_cases': packed(json.dumps(PRIVATE)),
    'metadata': '{}',
  } | changes


def read(tmp_path, *rows) -> list[dict]:
  path = tmp_path / 'test6.jsonl'
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return sources.read_problems(str(path))


def test_private_tests_decide(tmp_path):
  (problem,) = read(tmp_path, row())
  assert problem['id'] == 'abc1_a' and problem['tests_are'] == 'all' and problem['subject'] == 'easy'
  assert [case['output'] for case in problem['tests']['cases']] == ['3\n', '11\n', '0\n']
  assert code.verify('a, b = map(int, input().split())\nprint(a + b)', problem['tests']).status == 'correct'
  assert code.verify('print(3)', problem['tests']).reason == 'wrong_answer'  # passes the public test
  # the benchmark's own rule: numbers are equal as decimals, and exactly so
  assert code.verify('a, b = map(int, input().split())\nprint(f"{a + b}.00")', problem['tests']).status == 'correct'
  assert code.verify('a, b = map(int, input().split())\nprint(a + b + 1e-9)', problem['tests']).reason == 'wrong_answer'


@pytest.mark.parametrize('private', ['', '[]', None])
def test_without_private_tests_they_are_public_only(tmp_path, private):
  (problem,) = read(tmp_path, row(private_test_cases=private))
  assert problem['tests_are'] == 'public' and len(problem['tests']['cases']) == 1


def test_methods(tmp_path):
  changes = dict(starter_code=STARTER, public_test_cases=json.dumps(CALLS), metadata='{"func_name": "f"}')
  (problem,) = read(tmp_path, row(private_test_cases=packed(json.dumps(CALLS)), **changes))
  assert problem['tests']['function'] == 'f'
  assert problem['tests']['cases'][1] == {'args': [5, [[2, 4], [0, 2]]], 'expected': [3, 2]}
  assert code.verify('class Solution:\n  def f(self, n, q):\n    return [3, 2]', problem['tests']).status == 'correct'
  assert code.verify('class Solution:\n  def f(self, n, q):\n    return (3.0, 2)', problem['tests']).status == 'correct'
  assert (
    code.verify('class Solution:\n  def f(self, n, q):\n    return [3 + 1e-9, 2]', problem['tests']).status == 'wrong'
  )
  (named,) = read(tmp_path, row(private_test_cases='', **changes | {'metadata': '{}'}))  # then the starter tells
  assert named['tests']['function'] == 'f'
  asked = presets.prompt(problem, 'code')
  assert 'starter code' in asked and STARTER in asked and 'stdin' in presets.prompt(read(tmp_path, row())[0], 'code')


def test_encode_is_the_inverse():
  assert livecodebench.decode_cases(livecodebench.encode_cases(PRIVATE)) == PRIVATE
  assert livecodebench.decode_cases(json.dumps(PRIVATE)) == livecodebench.decode_cases(PRIVATE) == PRIVATE


class Evil:
  def __reduce__(self):
    return os.mkdir, (os.environ['EVIL_PATH'],)


def test_a_pickle_cannot_run_code(tmp_path, monkeypatch):
  monkeypatch.setenv('EVIL_PATH', str(tmp_path / 'evil'))
  pickle.loads(pickle.dumps(Evil()))
  (tmp_path / 'evil').rmdir()  # it would have worked
  with pytest.raises(ValueError, match='mkdir'):
    livecodebench.decode_cases(packed(Evil()))
  assert not (tmp_path / 'evil').exists()
  with pytest.raises(ValueError, match='test6.jsonl, line 1.*private_test_cases'):
    read(tmp_path, row(private_test_cases=packed(Evil())))


@pytest.mark.parametrize(
  'broken', ['!!!', base64.b64encode(b'x').decode(), packed(PRIVATE), packed('{'), packed('[1]')[:-8]]
)
def test_other_damage_is_an_error(broken):
  with pytest.raises(ValueError):
    livecodebench.decode_cases(broken)


def test_a_bomb_is_refused(monkeypatch):
  monkeypatch.setattr(livecodebench, 'LARGEST', 1000)
  with pytest.raises(ValueError, match='larger'):
    livecodebench.decode_cases(packed('[' + ' ' * 5000 + ']'))


def test_window_of_a_release(tmp_path):
  rows = read(tmp_path, row(), row(question_id='old', contest_date='2024-09-01T00:00:00'))
  assert [r['id'] for r in presets.select(rows, presets.find('livecodebench_v6'))] == ['abc1_a']
  assert [r['id'] for r in presets.select(rows, presets.find('livecodebench_v5'))] == ['old']
  with pytest.raises(ValueError, match='none of the 1 rows'):
    presets.select(rows[:1], presets.find('livecodebench_v5'))
