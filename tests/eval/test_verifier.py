"""evaluate --verifier: the reward that was trained for, on stored responses and as the flags say it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from vibethinker_jax import config
from vibethinker_jax.eval import scores, verifier
from vibethinker_jax.eval.journal import check_same
from vibethinker_jax.eval.scores import Judged
from vibethinker_jax.verify import default

JUDGE = """
def judge(response, row):
  return {'short': -len(response) / 100, 'right': row['answer'] in response}

def judge_batch(responses, rows):
  return [judge(*pair) for pair in zip(responses, rows, strict=True)]

def seldom(response, row):
  return None if row['id'] == 'b' else 1.0

def nothing(response, row):
  return None
"""
TEXTS = {'a': ('\\\\boxed{1}', 'none', 'x' * 50), 'b': ('2', '\\\\boxed{2} at last', '3')}


@pytest.fixture
def here(tmp_path, monkeypatch):
  (tmp_path / 'my_judge.py').write_text(JUDGE)
  rows = [
    {'id': name, 'problem': f'{name}?', 'answer': str(i + 1), 'response': text}
    for i, (name, texts) in enumerate(TEXTS.items())
    for text in texts
  ]
  (tmp_path / 'r.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
  monkeypatch.chdir(tmp_path)
  return tmp_path


def evaluate(here, *arguments):
  return subprocess.run(
    [sys.executable, '-m', 'vibethinker_jax.evaluate', '--responses=r.jsonl', f'--output={here}/out', *arguments],
    capture_output=True,
    text=True,
    timeout=600,
  )


@pytest.mark.parametrize('name', ['judge', 'judge_batch'])
def test_rewards_stand_beside_the_score(here, name):
  done = evaluate(here, f'--verifier=my_judge:{name}', '--correct_at=0.5', '--verify=workers=2,batch=4')
  assert done.returncode == 0, done.stderr
  result = json.loads((here / 'out/result.json').read_text())
  score = result['sets']['r']
  rewards = np.array([[-len(t) / 100 + (str(i + 1) in t) for t in texts] for i, texts in enumerate(TEXTS.values())])
  assert score['reward']['value'] == pytest.approx(rewards.mean())
  assert score['reward']['std'] == pytest.approx(rewards.std())
  assert score['reward']['parts']['right']['mean'] == pytest.approx(0.5)
  assert score['avg']['value'] == pytest.approx((rewards >= 0.5).mean()) and score['cons'] is None
  assert [p['reward'] for p in score['per_problem']] == pytest.approx(rewards.mean(axis=1), abs=0.005)
  assert (result['verifier'], result['correct_at']) == (f'my_judge:{name}', 0.5)
  lines = [json.loads(line) for line in (here / 'out/responses.jsonl').read_text().splitlines()]
  assert [line['reward'] for line in lines] == pytest.approx(rewards.ravel().tolist())
  page = (here / 'out/report.html').read_text()
  assert f'my_judge:{name}; right from a reward of 0.5 on' in page and '<td>right</td>' in page
  assert f'{rewards.mean():.4g}' in page and f'mean reward {rewards.mean():.4g} [' in done.stdout
  assert 'no cons@n, whose votes the default verifier counts' in done.stdout


def test_what_fails_is_no_result(here):
  done = evaluate(here, '--verifier=my_judge:nothing')
  assert done.returncode == 1 and 'Traceback' not in done.stderr
  assert '6 of 6 verdicts are invalid (6 fault), more than --verify=invalid_share=0.5. No result' in done.stderr
  assert 'my_judge:nothing: it returned None; a reward is' in done.stderr and not list((here / 'out').iterdir())
  done = evaluate(here, '--verifier=my_judge:seldom')
  assert done.returncode == 0 and '3 responses got no verdict (3 fault) and count nowhere' in done.stdout
  assert json.loads((here / 'out/result.json').read_text())['sets']['r']['reward']['problems'] == 1


def test_what_the_flags_say(here, monkeypatch):
  monkeypatch.syspath_prepend(here)
  one = verifier.read('my_judge:judge', 0.5, 'workers=64,timeout=120,memory=0,environment=A+B')
  assert one.rewards == () and one.identity() == {'verifier': 'my_judge:judge', 'correct_at': 0.5}
  assert one.verify == config.Verify(workers=64, timeout=120.0, memory=0.0, environment=('A', 'B'))
  assert verifier.read('answer=1,my_judge:judge=-0.5', 1.0, '').rewards == (('answer', 1.0), ('my_judge:judge', -0.5))
  assert verifier.read('format', 1.0, '').rewards == (('format', 1.0),)
  for name in ('', default.NAME):
    assert verifier.read(name, 1.0, '').identity() == {'verifier': default.NAME}


@pytest.mark.parametrize(
  'name, options, said',
  [
    ('nobody:judge', '', "--verifier: there is no module 'nobody' with a function 'judge'"),
    ('my_judge', '', "--verifier: there is no module 'my_judge' with a function ''"),
    ('answer=x', '', "--verifier=answer=x: 'answer' needs a weight that is a finite number"),
    ('answer=1,format', '', "'format' needs a weight"),
    ('answer=nan', '', "'answer' needs a weight"),
    ('answer=1,answer=2', '', 'must name none twice, as answer'),
    ('answer=0', '', 'must have a weight that is not 0'),
    ('format=-1', '', "the weight -1 of 'format' must not be negative"),
    ('', 'batch=0', '--verify.batch=0 must be an integer >= 1 and <= 1024'),
    ('', 'worker=1', '--verify.worker is not a field that anything reads (did you mean workers?)'),
  ],
)
def test_mistakes(here, monkeypatch, name, options, said):
  monkeypatch.syspath_prepend(here)
  with pytest.raises(ValueError) as error:
    verifier.read(name, 1.0, options)
  assert said in str(error.value) and '\n' not in str(error.value)


def test_it_belongs_to_the_identity_of_a_journal(tmp_path):
  path = tmp_path / 'config.json'
  mine = {'seed': 0, 'verifier': 'mine:judge', 'correct_at': 0.5}
  path.write_text(json.dumps({'seed': 0, 'sets': {}}))  # of before: the default one
  check_same(path, {'seed': 0, 'verifier': default.NAME}, [], '')
  with pytest.raises(ValueError, match=f"verifier: '{default.NAME}' -> 'mine:judge'"):
    check_same(path, mine, [], '')
  path.write_text(json.dumps(mine | {'sets': {}}))
  check_same(path, mine, [], '')
  with pytest.raises(ValueError, match='correct_at: 0.5 -> 0.25'):
    check_same(path, mine | {'correct_at': 0.25}, [], '')
  with pytest.raises(ValueError, match='verifier: '):
    check_same(path, {'seed': 0, 'verifier': default.NAME}, [], '')


def test_mean_rewards_are_over_problems_and_leave_out_what_has_no_verdict():
  of = lambda status, reward: Judged(0, '', status, '', None, None, None, reward, {'a': 2.0} if reward else None)
  found = scores.of_rewards([[of('wrong', -1.0), of('correct', 3.0)], [of('wrong', 5.0), of('invalid', None)], []])
  assert found['value'] == 3.0 and found['problems'] == 2 and found['std'] == pytest.approx(np.std([-1, 3, 5]))
  assert found['parts'] == {'a': {'mean': 2.0, 'std': 0.0}}
  assert scores.of_rewards([[of('correct', None)]]) is None
