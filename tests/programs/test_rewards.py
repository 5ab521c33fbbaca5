"""RL on rewards of one's own, end to end: what numpy makes of the same texts, and verifiers that fail."""

import json
import types

import numpy as np
import pytest

from vibethinker_jax import main
from vibethinker_jax.programs import rl, rollouts
from vibethinker_jax.rl.loss import LossOptions

JUDGES = """
import zlib

def number(response, row):
  return zlib.crc32((response + row['id']).encode()) % 1000 / 250 - 2.5  # from -2.5 to 1.5

def parts(response, row):
  return {'score': number(response, row), 'acc': number(response, row) > 0, 'pred': response[:5]}

def number_batch(responses, rows):
  return [{'reward': number(*pair), 'beside': len(rows)} for pair in zip(responses, rows, strict=True)]

def flat(response, row):
  return 0.25 if zlib.crc32(row['id'].encode()) % 2 else number(response, row)

def seldom(response, row):
  if zlib.crc32(response.encode()) % 4 == 0:
    raise ConnectionError('the judge is away')
  return number(response, row)
"""


@pytest.fixture
def judges(tmp_path, monkeypatch):
  """The module, importable here and in the workers."""
  (tmp_path / 'my_judges.py').write_text(JUDGES)
  monkeypatch.syspath_prepend(tmp_path)
  module = types.ModuleType('my_judges')
  exec(JUDGES, module.__dict__)
  return module


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


def weight(p, strength=4.0):
  """exp(-strength D(p || 0.5)), in float64."""
  log = lambda x: x * np.log(2 * x) if x else 0.0
  return np.exp(-strength * (log(p) + log(1 - p)))


def reference(rewards, correct, valid, lengths, strength, bonus=0.0):
  """The weighted advantages of one group, in float64."""
  out, r = np.zeros(len(rewards)), np.array(rewards, float)
  right = correct & valid
  if bonus and right.any():
    brevity = 1 / lengths[right]
    off = brevity - brevity.mean()
    if np.abs(off).max() > 1e-6 * brevity.max():
      r[right] += bonus * off / np.abs(off).max()
  out[valid] = (r[valid] - r[valid].mean()) / (r[valid].std() + 1e-6)
  return out * weight(right[valid].mean(), strength)


def lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize('name, bonus', [('number', 0.0), ('parts', 0.3)])
def test_graded_rewards_against_numpy(toy, judges, seen, tmp_path, name, bonus):
  """Every advantage of every step is what numpy makes of the function's own numbers on the same texts."""
  c = toy.rewarded(f'my_judges:{name}', correct_at=0.5)
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
    assert line['weight'] == pytest.approx(np.mean([weight(p) for p in rollout.correct.mean(axis=1)]), rel=1e-5)
    assert line['reward'] == pytest.approx(rollout.rewards.mean()) != line['accuracy']
    assert line['reward_std'] == pytest.approx(rollout.rewards.std())
    assert ('reward/acc' in line) == (name == 'parts')
    if name == 'parts':
      assert line['reward/acc'] == pytest.approx((rollout.rewards > 0).mean())
  shown = lines(tmp_path / 'run/rl/examples.jsonl')[0]['responses']
  assert [r['reward'] for r in shown] == np.round(seen[0][0].rewards[0], 4).tolist()
  assert [r['correct'] for r in shown] == seen[0][0].correct[0].tolist()


@pytest.mark.parametrize('first', ['number', 'number_batch'])
def test_two_rewards_against_numpy(toy, judges, seen, tmp_path, first):
  """The weighted sum, with DAPO's punishment of the longest; each is in the metrics with its deviation."""
  c = toy.rewarded('vibethinker_jax.verify.response:verify', correct_at=-1.5)
  name = f'my_judges:{first}'
  c['rewards'] = ((name, 0.5), ('overlong', 2.0), ('repetition', 0.0))
  c['verify'] |= dict(batch=5)
  main.run(c, tmp_path / 'run')
  assert len(seen) == 2
  for line, (rollout, advantages) in zip(lines(tmp_path / 'run/rl/metrics.jsonl'), seen):
    own = np.array([[judges.number(text, row) for text in texts] for texts, row in zip(rollout.texts, rollout.rows)])
    punished = -np.clip((rollout.lengths - 4) / 1, 0, 1)  # max_tokens=5: from 80 % on
    rewards = 0.5 * own + 2 * punished
    np.testing.assert_allclose(rollout.rewards, rewards)
    assert (rollout.correct == (rewards >= -1.5)).all() and 0 < rollout.correct.mean() < 1
    expected = [reference(*group, 4.0) for group in zip(rewards, rollout.correct, rollout.valid, rollout.lengths)]
    np.testing.assert_allclose(advantages[: len(expected)], expected, atol=2e-5)
    p = rollout.correct.mean(axis=1)
    assert line['weight'] == pytest.approx(np.mean([weight(x) for x in p]), rel=1e-5)
    assert line['accuracy'] == pytest.approx(p.mean()) and line['useful_groups'] == 3
    assert line['reward'] == pytest.approx(rewards.mean()) and line['reward_std'] == pytest.approx(rewards.std())
    assert line[f'reward/{name}'] == pytest.approx(own.mean())
    assert line[f'reward_std/{name}'] == pytest.approx(own.std())
    assert line['reward/overlong'] == pytest.approx(punished.mean(), abs=1e-9)
    assert line['reward_std/overlong'] == pytest.approx(punished.std(), abs=1e-9)
    assert line['reward/repetition'] <= 0  # only reported: its weight is 0
    if first == 'number_batch':  # 12 responses, 5 at once: two full calls and the rest of two
      assert line[f'reward/{name}/beside'] == pytest.approx((2 * 25 + 2 * 2) / 12)
  page = (tmp_path / 'run/report.html').read_text()
  assert all(f'<h3>{title}</h3>' in page for title in ('Reward (the sum)', name, 'overlong', 'repetition'))
  assert 'Responses without a verdict' not in page


def test_groups_of_equal_rewards_are_of_no_use(toy, judges, seen, tmp_path):
  """Which ones numpy says, and that they are sampled but not trained on."""
  main.run(toy.rewarded('my_judges:flat', stage=dict(prompts=4), correct_at=0.0), tmp_path / 'run')
  for line, (rollout, advantages) in zip(lines(tmp_path / 'run/rl/metrics.jsonl'), seen):
    rewards = [[judges.flat(text, row) for text in texts] for texts, row in zip(rollout.texts, rollout.rows)]
    np.testing.assert_allclose(rollout.rewards, rewards)
    assert (np.ptp(rewards, axis=1) > 0).all() and 0 < len(rewards) < 4 == line['sampled_groups']
    assert line['useful_groups'] == len(rewards) and (advantages[len(rewards) :] == 0).all()
  assert any(judges.zlib.crc32(row['id'].encode()) % 2 == 0 for rollout, _ in seen for row in rollout.rows)


def test_prompts_are_kept_where_rewards_differ(toy, judges, tmp_path):
  """Though none of their responses is correct."""
  main.run(toy.rewarded('my_judges:number', stage=dict(filter_samples=2, steps=1), correct_at=9.0), tmp_path / 'run')
  known = json.loads((tmp_path / 'run/rl/prompts.json').read_text())
  assert set(known['accuracy']) == {0.0} and sum(known['differ']) >= 3
  (line,) = lines(tmp_path / 'run/rl/metrics.jsonl')
  assert line['accuracy'] == 0 and line['useful_groups'] == 3 and line['grad_norm'] > 0


def test_few_faults_are_counted(toy, judges, tmp_path, capfd):
  main.run(toy.rewarded('my_judges:seldom', stage=dict(group=8)), tmp_path / 'run')
  found = lines(tmp_path / 'run/rl/metrics.jsonl')
  assert 0 < sum(line['invalid'] for line in found) < 24
  assert f', {found[-1]["invalid"]:.0f} without a verdict' in capfd.readouterr().err


def test_the_limit_is_an_option(toy, judges, tmp_path):
  c = toy.rewarded('my_judges:seldom', stage=dict(group=8))
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
