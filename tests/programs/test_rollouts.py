"""Over-sampling: what is used, given up and carried on, with the real engine and a verifier that flips coins."""

import types

import jax
import numpy as np
import pytest

from vibethinker_jax import config, sharding
from vibethinker_jax.data.sources import DataOptions
from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.programs import rl, rollouts
from vibethinker_jax.programs.stage import Model
from vibethinker_jax.rl.loss import LossOptions
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify import default

T, GROUP, PROMPTS = 40, 3, 4
LOGITS = jax.jit(transformer.logits, static_argnums=0)


class Letters:
  """A tokenizer of 26 letters; 'a' ends a response."""

  vocab_size, stop_ids = 26, (0,)

  def decode(self, ids):
    return ''.join(chr(97 + int(i)) for i in ids)


@pytest.fixture(scope='module')
def model():
  config = ModelConfig(26, 16, 1, 2, 1, 8, 24)
  params = jax.tree.map(lambda x: 0.3 * jax.random.normal(jax.random.key(x.size), x.shape), transformer.shapes(config))
  return Model(config, params, Letters())


def params_of(model, step):
  """The policy of a step."""
  return jax.tree.map(lambda x: x * (1 + step / 50), model.params)


@pytest.fixture
def steps(toy, model, monkeypatch):
  """(number of steps, options) -> [(Rollout, cursor, Carried)] of each, every step with another policy."""
  monkeypatch.setattr(
    rollouts.benchmarks.chat, 'encode_prompt', lambda tokenizer, row: [ord(c) - 97 for c in row['prompt']]
  )
  monkeypatch.setattr(rollouts.benchmarks.chat, 'opening', lambda tokenizer, row: '')
  stage = types.SimpleNamespace(
    recipe=config.Recipe(0, default.NAME, {}, ('rl',)),
    name='rl',
    mesh=sharding.make_mesh(devices=jax.devices()[:1]),
    pool=toy.CoinPool(),
  )
  rows = [{'prompt': 'xyz'[: 1 + i % 3], 'id': str(i)} for i in range(20)]

  def run(count, start=None, **changes):
    options = types.SimpleNamespace(
      **dict(
        prompts=PROMPTS,
        group=GROUP,
        max_rounds=3,
        oversample=2.0,
        carry=2,
        loss=LossOptions(),
        sampler=engine.Options(T, slots=6, steps_per_call=2, columns=64, prompt_columns=8),
      )
      | changes
    )
    first, cursor, carried = start or (0, 0, rollouts.nothing(options))
    out = []
    for step in range(first, first + count):
      policy = model._replace(params=params_of(model, step))
      out.append(rollouts.collect(stage, options, policy, rows, cursor, step, carried))
      _, cursor, carried = out[-1]
    return out

  return run


def logps(model, step, prompts, tokens, lengths):
  """Log-probabilities of the responses under the policy of a step, by whole forward passes."""
  params = params_of(model, step)
  out = np.zeros(tokens.shape)
  for p, g in np.ndindex(lengths.shape):
    m, n = len(prompts[p]), int(lengths[p, g])
    ids = np.concatenate([prompts[p], tokens[p, g, :n], np.zeros(50 - m - n, int)])
    logp = np.asarray(jax.nn.log_softmax(LOGITS(model.config, params, ids[None])[0], -1))
    out[p, g, :n] = logp[np.arange(m - 1, m + n - 1), ids[m : m + n]]
  return out


def test_a_step_ends_with_enough_useful_groups(steps):
  """Without carrying, what is late is given up; less is sampled than to the end of all."""
  ((rollout, _, carried),) = steps(1, carry=0)
  assert len(rollout.rows) == PROMPTS and rollout.sampled['given_up'] > 0 and not carried.indices_P.size
  assert all(0 < c[v].mean() < 1 for c, v in zip(rollout.correct, rollout.valid))
  ((all_, *_),) = steps(1, carry=0, oversample=1.0, prompts=2 * PROMPTS, max_rounds=1)
  assert rollout.sampled['tokens'] < all_.sampled['tokens']


def test_carried_groups_go_on(steps, model):
  """They are used later; every token's log-probability is that of the policy it was sampled from; none is too old."""
  carried, stale = None, 0
  for step, (rollout, _, after) in enumerate(steps(5)):
    assert len(rollout.rows) == PROMPTS and (rollout.lengths > 0).all()
    on = np.arange(T) < rollout.lengths[..., None]
    of = np.stack([logps(model, v, rollout.prompts, rollout.tokens, rollout.lengths) for v in range(step + 1)])
    close = np.isclose(of, rollout.logps, atol=1e-5)  # [version, P, G, T]
    assert close.any(axis=0)[on].all()
    old = on & ~close[step]
    stale += old.sum()
    assert rollout.sampled['stale'] == pytest.approx(old.sum() / on.sum())
    if old.any():
      assert close[max(0, step - 2) :].any(axis=0)[on].all()  # carry=2
      used = {row['id'] for row in rollout.rows}
      assert used & {str(i) for i in carried.indices_P}
    begun = after.versions_PGL[np.arange(T) < after.responses.lengths_PG[..., None]]
    assert not begun.size or begun.min() >= step + 1 - 2
    carried = after
  assert stale > 0


def test_a_restart_goes_on_with_the_same_groups(steps, tmp_path):
  whole = steps(4)
  _, cursor, carried = whole[1]
  assert carried.indices_P.size
  rollouts.save(tmp_path, 2, carried)
  options = types.SimpleNamespace(group=GROUP, sampler=engine.Options(T))
  again = steps(2, start=(2, cursor, rollouts.load(tmp_path, 2, options)))
  for (a, cursor_a, left_a), (b, cursor_b, left_b) in zip(again, whole[2:]):
    assert cursor_a == cursor_b and (a.tokens == b.tokens).all() and (a.logps == b.logps).all()
    assert (left_a.indices_P == left_b.indices_P).all()


def test_only_recent_files_are_kept_and_damage_is_told(steps, tmp_path):
  carried = steps(1)[0][2]
  for step in range(1, 7):
    rollouts.save(tmp_path, step, carried)
  assert [x.name for x in sorted(tmp_path.iterdir())] == [f'carried-{step:08d}.npz' for step in (4, 5, 6)]
  options = types.SimpleNamespace(group=GROUP, sampler=engine.Options(T))
  (tmp_path / 'carried-00000005.npz').write_bytes(b'PK')
  for step, message in ((5, 'carried on cannot be read'), (1, 'carried on cannot be read')):
    with pytest.raises(ValueError, match=message):
      rollouts.load(tmp_path, step, options)
  options.group = GROUP + 1
  with pytest.raises(ValueError, match='another config'):
    rollouts.load(tmp_path, 6, options)


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(carry=1), 'carry=1 needs oversample > 1'),
    (dict(sampler=engine.Options(T, cache='pages', cache_dtype='int8')), 'importance_cap'),
  ],
)
def test_contradictions_are_told(changes, message):
  options = rl.Options(
    'rl', 'x', DataOptions('x'), (), (), 1, 1, 4, 4, engine.Options(T), LossOptions(), 64, 8, 1e-4, 1
  )
  assert list(options.conflicts()) == []
  assert message in ' '.join(options._replace(**changes).conflicts())
