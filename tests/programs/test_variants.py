"""Variants of the loss in stages that run: several updates of parts of a batch, masks, and an entropy that adapts."""

import json
import shutil

import jax
import numpy as np
import pytest

from vibethinker_jax import checkpoint, main
from vibethinker_jax.aot.programs import training
from vibethinker_jax.programs import rl, rollouts
from vibethinker_jax.rl.loss import LossOptions
from vibethinker_jax.train import state as state_lib

EVERYTHING = dict(
  ratio='sequence',
  clip_low=3e-4,
  clip_high=4e-4,
  aggregation='constant',
  relative_weight=True,
  target=0.25,
  importance_band=(0.5, 5.0),
  kl=0.01,
  kl_estimate='k1',
  mask_truncated=True,
  overlong_cache=4,
  entropy_target=9.0,
  entropy_delta=0.001,
)
PARTS = dict(updates=2, minibatches=2, oversample=1.5, carry=2, group=16, prompts=4, problems=8, row_length=192)


def config(toy, stage=(), **loss):
  """One stage of RL of a random model."""
  c = toy.config()
  c['stages'] = ('rl',)
  c['rl'] = c.pop('rl_math_16k') | dict(
    init_from='scratch', filter_samples=0, prompts=3, group=8, problems=4, max_rounds=2, warmup_steps=0, steps=2
  )
  c['rl'] |= dict(checkpoint_steps=1) | dict(stage)
  c['rl']['loss'] |= loss
  for name in ('sft', 'probe', 'merge', 'rl_math_32k', 'rl_code', 'evaluate'):
    del c[name]
  return c


@pytest.fixture
def batches(monkeypatch):
  """[(Rollout, part, responses that are trained on)] of every part of a batch that is packed."""
  seen, pack = [], rl._batches

  def watched(stage, options, rollout, advantages_PG, part):
    found = pack(stage, options, rollout, advantages_PG, part)
    responses = {int(r) for micros, _ in found for r in np.unique(micros['responses'][micros['mask'] == 1])}
    seen.append((rollout, part, responses))
    return found

  monkeypatch.setattr(rl, '_batches', watched)
  return seen


def lines(run):
  return [json.loads(line) for line in (run / 'rl/metrics.jsonl').read_text().splitlines()]


def digests(run):
  return checkpoint.read_model(checkpoint.find(run / 'rl'))['digests']


@pytest.mark.slow
def test_everything_at_once_and_a_restart(toy, batches, tmp_path, monkeypatch):
  """Parts of the batch, only responses that ended, and the coefficient of the entropy goes on after a stop."""
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  c, run = config(toy, PARTS, **EVERYTHING), tmp_path / 'run'
  c['rl']['sampler'] |= dict(max_tokens=40, columns=192)  # in 40 tokens one of eight random responses ends
  main.run(c, run)
  first, second = lines(run)
  assert (first['entropy_weight'], second['entropy_weight']) == (0.0, pytest.approx(0.001))
  for line in (first, second):
    assert line['grad_norm'] > 0 and line['skipped'] == 0 and line['weight'] == pytest.approx(1, rel=1e-5)
    assert line['ratio'] != 1  # of the fourth update
    assert 0 <= line['outside_band'] <= 1 and np.isfinite(line['kl'])
  assert [part for _, part, _ in batches] == [0, 1, 0, 1]
  for rollout, part, responses in batches:
    ended = rollout.valid & rollout.stopped
    p, g = np.nonzero(ended)
    assert responses == {int(i) for i in (p * 16 + g)[p % 2 == part]}
    assert ended.any(axis=1).all() and not rollout.stopped.all()
  assert any(responses for *_, responses in batches)
  whole = digests(run)
  shutil.rmtree(run / 'rl/checkpoints/2')
  (run / 'rl/result.json').unlink()
  main.run(c, run)
  assert digests(run) == whole and lines(run)[1]['entropy_weight'] == second['entropy_weight']


@pytest.mark.parametrize(
  'stage, loss',
  [
    (dict(), dict(objective='cispo', aggregation='token_mean', clip_low=1.0, clip_high=0.2, entropy=0.01)),
    pytest.param(
      dict(minibatches=3), dict(aggregation='token_mean', clip_high=0.28, overlong_cache=2), marks=pytest.mark.slow
    ),
    pytest.param(
      dict(updates=3, share_prompts=True),
      dict(normalise='none', aggregation='constant', importance_cap=2.0, kl=0.1, kl_estimate='k2'),
      marks=pytest.mark.slow,
    ),
  ],
  ids=['CISPO', 'DAPO', 'Dr.GRPO'],
)
def test_a_variant_trains(toy, tmp_path, monkeypatch, stage, loss):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  main.run(config(toy, stage, **loss), tmp_path / 'run')
  found = lines(tmp_path / 'run')
  assert len(found) == 2 and all(line['grad_norm'] > 0 and line['skipped'] == 0 for line in found)
  on_policy = stage.get('updates', 1) * stage.get('minibatches', 1) == 1
  for line in found:
    assert (abs(line['ratio'] - 1) < 1e-5) == on_policy
    assert line.get('entropy_weight') == loss.get('entropy')


def test_learning_rates_are_by_rollout_batches(toy):
  """Warm-up is as long in steps whatever the updates of a step."""
  bound = lambda **stage: rl.config_lib.bind(rl.Options, config(toy, stage)['rl'], 'rl')
  params = {'w': np.ones(3, np.float32)}

  def moves(count, **stage):
    optimizer, schedule = rl.make_optimizer(bound(warmup_steps=2, learning_rate=0.1, **stage))
    state, found = optimizer.init(params), []
    for _ in range(count):
      change, state = optimizer.update({'w': np.ones(3, np.float32)}, state, params)
      found.append(-float(change['w'][0]))
    return np.array(found), [float(schedule(step)) for step in range(3)]

  (one, rates), (four, same) = moves(3), moves(12, updates=2, minibatches=2)
  assert rates == same
  np.testing.assert_allclose(one, rates, rtol=1e-4)
  np.testing.assert_allclose(four, np.repeat(rates, 4), rtol=1e-4)


def test_entropy_of_what_is_trained_on():
  """Minus the mean log-probability of the tokens of responses that count."""
  rng = np.random.default_rng(0)
  logps, lengths = -rng.random((2, 3, 5)), rng.integers(1, 6, (2, 3))
  valid, stopped = np.array([[1, 1, 0], [1, 1, 1]], bool), np.array([[1, 0, 1], [1, 1, 0]], bool)
  rollout = rollouts.Rollout([{}] * 2, [], None, logps, lengths, None, valid, [], {}, None, stopped)
  for masked, use in ((False, valid), (True, valid & stopped)):
    tokens = np.concatenate([logps[p, g, : lengths[p, g]] for p, g in np.argwhere(use)])
    found = rollouts.entropy(rollout, LossOptions(mask_truncated=masked))
    assert found == pytest.approx(-tokens.mean())
  assert rollouts.entropy(rollout._replace(rows=[]), LossOptions()) is None
  assert rollouts.entropy(rollout._replace(valid=0 * valid), LossOptions()) is None


def test_the_plan_has_the_arguments_of_the_run(toy, tiny, mesh1):
  """Every array that a variant adds is an argument of the program that is compiled ahead of time."""
  options = rl.config_lib.bind(rl.Options, config(toy, **EVERYTHING)['rl'], 'rl')
  optimizer, _ = rl.make_optimizer(options)
  state = state_lib.abstract(tiny, optimizer, mesh1)
  with jax.set_mesh(mesh1):
    programs = {program.name: program for program in training.rl_update(tiny, options, state, optimizer, mesh1)}
    assert {'score', 'mgpo_step', 'apply'} <= programs.keys()
    for name in ('score', 'mgpo_step', 'apply'):
      programs[name].lower()  # traces the loss: an array that it reads and does not get is a KeyError
