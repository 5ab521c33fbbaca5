"""A stage of RL in which no group is useful: what it says, that it does not end as done, and that it goes on."""

from concurrent.futures import Future
import json
import types

import numpy as np
import pytest

from vibethinker_jax import checkpoint, main
from vibethinker_jax.programs import position, rl, rollouts
from vibethinker_jax.rl.loss import LossOptions
from vibethinker_jax.verify.verdict import Verdict

STAGE = types.SimpleNamespace(name='rl')


class Judge:
  """A pool whose verdicts are those of a list of statuses, a response each; the last for all that follow."""

  def __init__(self, *statuses):
    self.statuses, self.first_fault = list(statuses), ''

  def __enter__(self):
    return self

  def __exit__(self, *_):
    pass

  def check(self):
    pass

  def submit(self, response, row):
    future = Future()
    future.set_result(Verdict(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0], ''))
    return future


def config(toy, **change):
  """One stage of RL of a random model."""
  c = toy.config()
  c['stages'] = ('rl',)
  c['rl'] = (
    c.pop('rl_math_16k')
    | dict(init_from='scratch', filter_samples=0, prompts=2, group=2, problems=4, max_rounds=1, warmup_steps=0)
    | change
  )
  for name in ('sft', 'probe', 'merge', 'rl_math_32k', 'rl_code', 'evaluate'):
    del c[name]
  c['rl']['sampler'] |= dict(max_tokens=4, slots=8, steps_per_call=4)
  return c


def run(toy, workdir, statuses, monkeypatch, **change):
  monkeypatch.setattr(main, 'Pool', lambda **_: Judge(*statuses))
  main.run(config(toy, **change), workdir)


def test_ten_steps_for_nothing(toy, tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(rl.LOG, 'propagate', True)
  with pytest.raises(
    ValueError, match="stage 'rl': no group was useful in the last 10 steps .*checkpoint of step 10 is kept"
  ):
    run(toy, tmp_path, ['wrong'], monkeypatch, steps=13, checkpoint_steps=20)
  said = [r.message for r in caplog.records if r.levelname == 'WARNING']
  assert len(said) == 10 and said[2] == 'stage rl, step 3: no group was useful; 2 groups: 2 all wrong'
  assert checkpoint.steps(tmp_path / 'rl/checkpoints') == [10] and not (tmp_path / 'rl/result.json').exists()
  with pytest.raises(ValueError, match='no group was useful in the last 13 steps .*no step left'):  # it went on
    run(toy, tmp_path, ['correct'], monkeypatch, steps=13, checkpoint_steps=20)
  steps = [json.loads(line)['step'] for line in (tmp_path / 'rl/metrics.jsonl').read_text().splitlines()]
  assert steps == list(range(1, 14)) and not (tmp_path / 'rl/result.json').exists()


@pytest.mark.slow
def test_few_steps_for_nothing(toy, tmp_path, monkeypatch):
  for _ in range(2):
    with pytest.raises(
      ValueError, match="stage 'rl': none of the 2 steps made an update.*step 2 is kept, and it has no step"
    ):
      run(toy, tmp_path, ['wrong'], monkeypatch, steps=2)


@pytest.mark.slow
def test_one_update_is_enough(toy, tmp_path, monkeypatch):
  run(toy, tmp_path, ['wrong'] * 4 + ['correct', 'wrong', 'wrong'], monkeypatch, steps=2)
  assert json.loads((tmp_path / 'rl/result.json').read_text())['steps'] == 2


def test_a_rehearsal_trains_on_what_there_is(toy, tmp_path, monkeypatch):
  monkeypatch.setattr(main, 'Pool', lambda **_: Judge('wrong'))
  main.run(config(toy, steps=2, filter_samples=2) | dict(rehearsal=True), tmp_path)
  lines = [json.loads(line) for line in (tmp_path / 'rl/metrics.jsonl').read_text().splitlines()]
  assert [(x['useful_groups'], x['grad_norm'], x['count'] > 0) for x in lines] == [(0, 0, True)] * 2
  assert json.loads((tmp_path / 'rl/result.json').read_text())['prompts'] == 16


@pytest.mark.parametrize(
  'idle, made, step, ends',
  [
    (0, 0, 1, False),
    (0, 0, 20, True),
    (9, 3, 12, False),
    (10, 3, 12, True),
    (11, 3, 12, False),
    (20, 3, 15, True),
    (9, 3, 20, False),
    (13, 3, 20, True),
  ],
)
def test_when_a_stage_ends(idle, made, step, ends):
  at = position.Position(step, 0, np.zeros(2), idle, made)
  if not ends:
    return position.refuse_idle('rl', at, done=step == 20)
  with pytest.raises(ValueError, match="stage 'rl'"):
    position.refuse_idle('rl', at, done=step == 20)


def test_what_was_seen_of_the_groups():
  correct = np.array([[1, 1], [0, 0], [0, 1], [0, 0], [1, 0]], bool)
  valid = np.array([[1, 1], [1, 1], [1, 1], [0, 0], [1, 0]], bool)
  responses = types.SimpleNamespace(
    ended_PG=np.ones((5, 2), bool), lengths_PG=np.ones((5, 2)), stopped_PG=np.ones((5, 2), bool)
  )
  scored = types.SimpleNamespace(
    responses=responses,
    correct_PG=correct,
    valid_PG=valid,
    seconds=(0, 0, 0),
    rewards_PG=correct * 1.0,
    parts_PG=[[{}] * 2] * 5,
  )
  counts = lambda bonus: rollouts._counts(
    [(scored, 1)], types.SimpleNamespace(group=2, loss=LossOptions(long2short=bonus))
  )
  assert rollouts.described(counts(0.0)) == '5 groups: 1 right and wrong, 1 all wrong, 2 all right, 1 without a verdict'
  assert counts(0.0)['useful'] == 1 and counts(0.2)['useful'] == 3  # a bonus for brevity: all right teaches too
