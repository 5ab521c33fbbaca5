"""RL on rewards of one's own, end to end: what numpy makes of the same texts, and verifiers that fail."""

import json
import types

import numpy as np
import pytest

from vibethinker_jax import checkpoint, main
from vibethinker_jax.programs import rl, rollouts
from vibethinker_jax.rl.loss import LossOptions

JUDGES = """
import zlib

def number(response, row):
  return zlib.crc32((response + row['id']).encode()) % 1000 / 250 - 2.5  # from -2.5 to 1.5

def parts(response, row):
  return {'score': number(response, row), 'acc': number(response, row) > 0, 'pred': response[:5]}

def nothing(response, row):
  return None

def seldom(response, row):
  if zlib.crc32(response.encode()) % 4 == 0:
    raise ConnectionError('the judge is away')
  return number(response, row)

def broken(response, row):
  return row['no such field']
"""


@pytest.fixture
def judges(tmp_path, monkeypatch):
  """The module, importable here and in the workers."""
  (tmp_path / 'my_judges.py').write_text(JUDGES)
  monkeypatch.syspath_prepend(tmp_path)
  module = types.ModuleType('my_judges')
  exec(JUDGES, module.__dict__)
  return module


def config(toy, verifier, stage=(), **change):
  """One stage of RL of a random model."""
  c = toy.config()
  c['stages'] = ('rl',)
  c['rl'] = (
    c.pop('rl_math_16k')
    | dict(init_from='scratch', filter_samples=0, prompts=3, group=4, problems=4, max_rounds=1, warmup_steps=0, steps=2)
    | dict(stage)
  )
  for name in ('sft', 'probe', 'merge', 'rl_math_32k', 'rl_code', 'evaluate'):
    del c[name]
  c['rl']['sampler'] |= dict(max_tokens=5, slots=16, steps_per_call=5)
  c['verify'] |= dict(workers=1)
  return c | dict(verifier=verifier) | change


@pytest.fixture
def seen(monkeypatch):
  """[(Rollout, advantages)] of every step that is run."""
  steps, padded, spread = [], rollouts.padded, rl.spread

  def of_rollout(rollout, options):
    steps.append([rollout])
    return padded(rollout, options)

  def of_advantages(advantages_PG, *rest):
    steps[-1][1:] = [np.asarray(advantages_PG)]
    return spread(advantages_PG, *rest)

  monkeypatch.setattr(rl.rollouts, 'padded', of_rollout)
  monkeypatch.setattr(rl, 'spread', of_advantages)
  return steps


def reference(rewards, correct, valid, lengths, strength, bonus=0.0):
  """The weighted advantages of one group, in float64."""
  out, r = np.zeros(len(rewards)), np.array(rewards, float)
  right = correct & valid
  if bonus and right.any():
    brevity = 1 / lengths[right]
    off = brevity - brevity.mean()
    if np.abs(off).max() > 1e-6 * brevity.max():
      r[right] += bonus * off / np.abs(off).max()
  p = right[valid].mean()
  out[valid] = (r[valid] - r[valid].mean()) / (r[valid].std() + 1e-6)
  log = lambda x: x * np.log(2 * x) if x else 0.0
  return out * np.exp(-strength * (log(p) + log(1 - p)))


def lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize('name, bonus', [('number', 0.0), ('parts', 0.3)])
def test_graded_rewards_against_numpy(toy, judges, seen, tmp_path, name, bonus):
  """Every advantage of every step is what numpy makes of the function's own numbers on the same texts."""
  c = config(toy, f'my_judges:{name}', correct_at=0.5)
  c['rl']['loss'] |= dict(long2short=bonus)
  main.run(c, tmp_path / 'run')
  assert len(seen) == 2
  for rollout, advantages in seen:
    assert len(rollout.rows) == 3 and rollout.valid.all()
    for p, row in enumerate(rollout.rows):
      rewards = np.array([judges.number(text, row) for text in rollout.texts[p]])
      correct = rewards >= 0.5
      np.testing.assert_allclose(rollout.rewards[p], rewards)
      assert rollout.correct[p].tolist() == correct.tolist()
      expected = reference(rewards, correct, rollout.valid[p], rollout.lengths[p], 4.0, bonus)
      np.testing.assert_allclose(advantages[p], expected, atol=2e-5)
  assert len({round(float(r), 6) for rollout, _ in seen for r in rollout.rewards.ravel()}) > 10
  for line, (rollout, _) in zip(lines(tmp_path / 'run/rl/metrics.jsonl'), seen):  # one round: all that was sampled
    assert line['useful_groups'] == 3 and line['grad_norm'] > 0 and line['invalid'] == 0
    assert line['accuracy'] == pytest.approx(rollout.correct.mean())
    assert line['reward'] == pytest.approx(rollout.rewards.mean()) != line['accuracy']
    assert line['reward_std'] == pytest.approx(rollout.rewards.std())
    assert ('reward/acc' in line) == (name == 'parts')
    if name == 'parts':
      assert line['reward/acc'] == pytest.approx((rollout.rewards > 0).mean())
  shown = lines(tmp_path / 'run/rl/examples.jsonl')[0]['responses']
  assert [r['reward'] for r in shown] == np.round(seen[0][0].rewards[0], 4).tolist()
  assert [r['correct'] for r in shown] == seen[0][0].correct[0].tolist()


def test_two_rewards_against_numpy(toy, judges, seen, tmp_path):
  """The weighted sum, with DAPO's punishment of the longest; each is in the metrics with its deviation."""
  c = config(toy, 'vibethinker_jax.verify.response:verify', correct_at=0.2)
  c['rewards'] = (('my_judges:number', 0.5), ('overlong', 2.0))
  main.run(c, tmp_path / 'run')
  for line, (rollout, advantages) in zip(lines(tmp_path / 'run/rl/metrics.jsonl'), seen):
    own = np.array([[judges.number(text, row) for text in texts] for texts, row in zip(rollout.texts, rollout.rows)])
    punished = -np.clip((rollout.lengths - 4) / 1, 0, 1)  # max_tokens=5: from 80 % on
    rewards = 0.5 * own + 2 * punished
    np.testing.assert_allclose(rollout.rewards, rewards)
    assert (rollout.correct == (rewards >= 0.2)).all()
    expected = [reference(*group, 4.0) for group in zip(rewards, rollout.correct, rollout.valid, rollout.lengths)]
    np.testing.assert_allclose(advantages[: len(expected)], expected, atol=2e-5)
    assert line['reward/my_judges:number'] == pytest.approx(own.mean())
    assert line['reward/overlong_std'] == pytest.approx(punished.std(), abs=1e-9)


def test_prompts_are_kept_where_rewards_differ(toy, judges, tmp_path):
  """Though none of their responses is correct."""
  main.run(config(toy, 'my_judges:number', stage=dict(filter_samples=2, steps=1), correct_at=9.0), tmp_path / 'run')
  known = json.loads((tmp_path / 'run/rl/prompts.json').read_text())
  assert set(known['accuracy']) == {0.0} and sum(known['differ']) >= 3
  (line,) = lines(tmp_path / 'run/rl/metrics.jsonl')
  assert line['accuracy'] == 0 and line['useful_groups'] == 3 and line['grad_norm'] > 0


def test_few_faults_are_counted(toy, judges, tmp_path, capfd):
  main.run(config(toy, 'my_judges:seldom', stage=dict(group=8)), tmp_path / 'run')
  found = lines(tmp_path / 'run/rl/metrics.jsonl')
  assert 0 < sum(line['invalid'] for line in found) < 24
  assert f', {found[-1]["invalid"]:.0f} without a verdict' in capfd.readouterr().err


@pytest.mark.parametrize(
  'name, said',
  [
    ('nothing', ['my_judges:nothing: it returned None; a reward is a finite number, True or False']),
    ('broken', ['Traceback', "return row['no such field']", "KeyError: 'no such field'"]),
  ],
)
def test_a_verifier_that_fails_stops_the_stage(toy, judges, tmp_path, name, said):
  """With the first fault, before an update; mended, the same workdir goes on."""
  c = config(toy, f'my_judges:{name}', stage=dict(checkpoint_steps=1))
  with pytest.raises(ValueError) as error:
    main.run(c, tmp_path / 'run')
  text = str(error.value)
  assert text.startswith("stage 'rl', step 1: 12 of 12 verdicts are invalid (12 fault), more than config.verify")
  assert all(part in text for part in said) and 'worker.py' not in text
  assert not (tmp_path / 'run/rl/result.json').exists() and not checkpoint.steps(tmp_path / 'run/rl/checkpoints')
  (tmp_path / 'my_judges.py').write_text(f'{JUDGES}\nnothing = broken = number\n')
  main.run(c, tmp_path / 'run')
  assert json.loads((tmp_path / 'run/rl/result.json').read_text())['steps'] == 2


def test_the_limit_is_an_option(toy, judges, tmp_path):
  c = config(toy, 'my_judges:seldom', stage=dict(group=8))
  c['verify'] |= dict(invalid_share=0.0)
  with pytest.raises(ValueError, match=r'(?s)invalid_share=0\..*ConnectionError: the judge is away'):
    main.run(c, tmp_path / 'run')


def test_advantages_of_a_group_with_holes_against_numpy():
  """Invalid responses take no part; p is the share of correct ones, whatever the numbers say."""
  rng = np.random.default_rng(0)
  rewards, lengths = rng.normal(size=(6, 5)) * 10 - 3, rng.integers(1, 40, (6, 5))
  correct, valid = rng.random((6, 5)) < 0.5, rng.random((6, 5)) < 0.8
  for bonus in (0.0, 0.4):
    options = LossOptions(strength=2.0, long2short=bonus)
    found, p, _ = rl.weighted_advantages(rewards, lengths, valid, options, correct)
    np.testing.assert_allclose(p, [(c & v).sum() / v.sum() for c, v in zip(correct, valid)], rtol=1e-6)
    expected = [reference(*group, 2.0, bonus) for group in zip(rewards, correct, valid, lengths)]
    np.testing.assert_allclose(found, expected, atol=2e-5)
