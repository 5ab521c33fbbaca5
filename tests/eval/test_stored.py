"""Responses of others: found by id or by prompt, in several shapes, with their own verdicts."""

import json

import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.eval import sets, stored

ROWS = [{'problem': 'What is 2+3?', 'answer': '5'}, {'problem': 'What is 2*3?', 'answer': '6', 'id': 'own'}]
PROTOCOL = sets.Protocol(4, 1.0, 0.95, 8)


def write(path, rows) -> str:
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


@pytest.fixture
def maths(tmp_path):
  return sets.read(sources.DataOptions(write(tmp_path / 'maths.jsonl', ROWS)), '', PROTOCOL)


def read(tmp_path, maths, rows, options=sources.DataOptions(), **more):
  return stored.read(write(tmp_path / 'r.jsonl', rows), [maths.name], {maths.name: maths.rows}, options, **more)


def test_by_prompt_by_id_and_lists(tmp_path, maths):
  found = read(
    tmp_path,
    maths,
    [
      {'problem': 'What is 2*3?', 'output': 'a'},
      {'id': 'own', 'responses': ['b', 'c'], 'finish_reason': 'length'},
      {'id': '1', 'completion': 'd', 'completion_tokens': 9},
      {'set': 'maths', 'id': 'own', 'sample': 7, 'response': 'e'},
    ],
  )
  assert [(x['id'], x['sample'], x['response'], x['tokens'], x['cut_off']) for x in found.lines] == [
    ('own', 0, 'a', None, None),
    ('own', 1, 'b', None, True),
    ('own', 2, 'c', None, True),
    ('1', 0, 'd', 9, None),
    ('own', 7, 'e', None, None),
  ]
  assert found.theirs == {}


def test_tokens_are_counted(tmp_path, maths):
  assert (
    read(
      tmp_path,
      maths,
      [{'id': '1', 'text': 'a b c'}],
      sources.DataOptions(response='text'),
      count=lambda text: len(text.split()),
    ).lines[0]['tokens']
    == 3
  )


@pytest.mark.parametrize(
  'row, message',
  [
    ({'id': 'nobody', 'output': 'x'}, 'line 1: the response belongs to no problem'),
    ({'id': '1', 'says': 'x'}, '--response_field'),
    ({'problem': 'What is 9?', 'output': 'x'}, 'no problem'),
  ],
)
def test_errors(tmp_path, maths, row, message):
  with pytest.raises(ValueError, match=message):
    read(tmp_path, maths, [row])


def test_the_same_sample_twice(tmp_path, maths):
  with pytest.raises(ValueError, match='given twice'):
    read(tmp_path, maths, [{'id': '1', 'sample': 0, 'output': 'x'}, {'id': '1', 'sample': 0, 'output': 'y'}])


def test_problems_in_the_file_itself(tmp_path):
  rows = [
    {'problem': 'p', 'gold': '1', 'output': 'a'},
    {'problem': 'q', 'gold': '2', 'output': 'b'},
    {'problem': 'p', 'gold': '1', 'output': 'c'},
  ]
  found = stored.problems(sources.DataOptions(write(tmp_path / 'o.jsonl', rows)))
  assert [(row['problem'], row['answer']) for row in found] == [('p', '1'), ('q', '2')]
  assert found[0]['prompt'].endswith('within \\boxed{}.')


def test_a_response_names_its_problem_as_it_was_asked_or_bare(tmp_path):
  chat = [{'role': 'system', 'content': 's'}, {'role': 'user', 'content': 'What is 2+3?'}]
  maths = sets.read(
    sources.DataOptions(write(tmp_path / 'maths.jsonl', [{'prompt': chat, 'answer': '5'}])), '', PROTOCOL
  )
  asked = maths.rows[0]['prompt']
  assert asked[1]['content'] != chat[1]['content']
  found = read(tmp_path, maths, [{'prompt': p, 'output': 'a'} for p in (chat, asked, chat[1]['content'])])
  assert [x['id'] for x in found.lines] == ['1', '1', '1']


def test_agreement(tmp_path, maths):
  found = read(
    tmp_path,
    maths,
    [
      {'id': '1', 'output': 'x', 'ok': True},
      {'id': 'own', 'output': 'y', 'ok': 0.0},
      {'id': 'own', 'output': 'z', 'ok': [True]},
    ],
    verdict_field='ok',
  )
  statuses = ('correct', 'correct', 'invalid')
  judged = [x | {'status': s, 'reason': 'r', 'answer': None} for x, s in zip(found.lines, statuses)]
  agreed = stored.agreement(found.theirs, judged)
  assert (agreed['responses'], agreed['agree'], agreed['ours_correct'], agreed['theirs_correct']) == (2, 1, 2, 1)
  assert agreed['disagreements'][0]['id'] == 'own' and agreed['disagreements'][0]['theirs'] == 'wrong'
  with pytest.raises(ValueError, match='verdict_field'):
    read(tmp_path, maths, [{'id': '1', 'output': 'x', 'ok': 'yes'}], verdict_field='ok')
