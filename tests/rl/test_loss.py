"""The MGPO loss of packed rows: GRPO at strength 0, aggregation, masks, variants.

Two programs that compute the same are compared to a tolerance: XLA fuses them differently, and on another processor
sums have another last bit. Equal bits are demanded of one compiled program alone.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.rl.advantage import group_advantages
from vibethinker_jax.rl.batch import Groups, rl_batches
from vibethinker_jax.rl.loss import LossOptions, mgpo_loss, spread, weighted_advantages
from vibethinker_jax.train import step as step_lib
from vibethinker_jax.train.loss import token_scores

P, G, T, ROW = 4, 4, 6, 24
ROUNDING = 1e-5  # of a log-probability around -4 from another program: a few units of 2.4e-7


@pytest.fixture(scope='module')
def rewards():
  """Accuracies 1/4, 1/2, 3/4, 1."""
  return np.tri(P, G, dtype=np.float32)


@pytest.fixture(scope='module')
def groups():
  rng = np.random.default_rng(0)
  lengths = rng.integers(1, T + 1, (P, G))
  inside = np.arange(T) < lengths[..., None]
  prompts = [rng.integers(0, 44, n).tolist() for n in (3, 1, 5, 2)]
  return prompts, np.where(inside, rng.integers(0, 44, (P, G, T)), 0), lengths


@pytest.fixture(scope='module')
def batch(tiny, params, groups):
  """On-policy but for noise in the behaviour log-probabilities, so that some ratios leave [0.8, 1.2]."""
  prompts, tokens, lengths = groups
  all_ = Groups(prompts, tokens, np.zeros(tokens.shape, np.float32), lengths, np.ones((P, G), bool))
  ((batch, _),) = rl_batches(all_, row_lengths=(ROW,), micro_batch=12)
  batch = {name: jnp.asarray(x[0]) for name, x in batch.items()}
  logps = jax.jit(lambda p, b: token_scores(tiny, p, b)[0])(params, batch)
  noise = 0.3 * np.random.default_rng(1).normal(size=logps.shape)
  advantages = np.random.default_rng(2).normal(size=P * G).astype(np.float32)[batch['responses']]
  mask = batch['mask']
  masked = lambda x: (x * mask).astype(jnp.float32)
  return batch | {
    'policy_logps': masked(logps),
    'behaviour_logps': masked(logps + noise),
    'reference_logps': masked(logps - 2 * noise),
    'advantages': masked(advantages),
  }


def run(tiny, params, batch, **options):
  """(loss, count, metric sums); the trainer's own log-probabilities only where they are needed."""
  if not options.get('importance_cap'):
    batch = {name: x for name, x in batch.items() if name != 'policy_logps'}
  return jax.jit(functools.partial(mgpo_loss, tiny, options=LossOptions(**options)))(params, batch)


def by_hand(tiny, params, batch, aggregation='sequence_mean', low=0.2, high=0.2, cap=0.0, kl=0.0):
  """The objective with loops, in float64; returns (loss, count)."""
  logp = np.asarray(jax.jit(lambda p, b: token_scores(tiny, p, b)[0])(params, batch), np.float64)
  b = {name: np.asarray(x) for name, x in batch.items()}
  total, tokens = {}, {}
  for r, i in np.argwhere(b['mask']):
    behaviour = b['policy_logps'][r, i] if cap else b['behaviour_logps'][r, i]
    ratio, a = np.exp(logp[r, i] - behaviour), b['advantages'][r, i]
    value = min(ratio * a, np.clip(ratio, 1 - low, 1 + high) * a)
    if cap:
      value *= min(np.exp(b['policy_logps'][r, i] - b['behaviour_logps'][r, i]), cap)
    d = b['reference_logps'][r, i] - logp[r, i]
    value -= kl * (np.exp(d) - d - 1)
    name = int(b['responses'][r, i])
    total[name], tokens[name] = total.get(name, 0) + value, tokens.get(name, 0) + 1
  if aggregation == 'token_mean':
    return -sum(total.values()), sum(tokens.values())
  return -sum(total[i] / tokens[i] for i in total), len(total)


@pytest.mark.parametrize(
  'options',
  [
    dict(),
    dict(aggregation='token_mean'),
    dict(clip_low=0.1, clip_high=0.4),
    dict(kl=0.5),
    dict(importance_cap=1.1),
    dict(aggregation='token_mean', importance_cap=0.9, kl=0.1),
  ],
  ids=str,
)
def test_against_loops(tiny, params, batch, options):
  short = {'clip_low': 'low', 'clip_high': 'high', 'importance_cap': 'cap'}
  renamed = {short.get(name, name): value for name, value in options.items()}
  loss, count = by_hand(tiny, params, batch, **renamed)
  found_loss, found_count, _ = run(tiny, params, batch, **options)
  np.testing.assert_allclose(found_loss, loss, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(found_count, count, rtol=1e-6)


def test_metric_sums(tiny, params, batch):
  loss, count, sums = run(tiny, params, batch, aggregation='token_mean')
  assert sums['loss'] == loss and count == batch['mask'].sum()
  ratio = jnp.exp(batch['policy_logps'] - batch['behaviour_logps'])[batch['mask'] == 1]
  np.testing.assert_allclose(sums['ratio'], ratio.sum(), rtol=1e-5)
  advantages = batch['advantages'][batch['mask'] == 1]
  clipped = ((ratio > 1.2) & (advantages > 0)) | ((ratio < 0.8) & (advantages < 0))
  assert 0 < clipped.sum() == sums['clip_fraction'] < len(clipped)
  gap = jnp.abs(batch['policy_logps'] - batch['behaviour_logps']).sum()
  np.testing.assert_allclose(sums['logp_gap'], gap, rtol=1e-4)


def test_on_policy_ratio_is_one_and_clip_inactive(tiny, params, batch):
  on_policy = batch | {'behaviour_logps': batch['policy_logps']}
  loss, count, sums = run(tiny, params, on_policy, aggregation='token_mean')
  np.testing.assert_allclose(sums['ratio'], count, rtol=ROUNDING)
  assert sums['clip_fraction'] == 0 and sums['logp_gap'] <= ROUNDING * count
  np.testing.assert_allclose(loss, -batch['advantages'].sum(), rtol=1e-5)
  # the gradient is that of REINFORCE
  gradient = lambda f: jax.jit(jax.grad(f))(params)
  policy = gradient(lambda p: -jnp.sum(token_scores(tiny, p, batch)[0] * batch['advantages']))
  ours = gradient(lambda p: run(tiny, p, on_policy, aggregation='token_mean')[0])
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(policy)):
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(
  'name, fill',
  [('behaviour_logps', -5.0), ('behaviour_logps', -1e4), ('reference_logps', -1e4), ('reference_logps', 1e4)],
)
def test_padding_and_prompts_do_not_count(tiny, params, batch, name, fill):
  """What stands where there is no response token changes nothing, even if its exponential overflows."""
  garbage = {name: jnp.where(batch['mask'] == 0, fill, batch[name])}
  value = jax.jit(jax.value_and_grad(lambda p, b: run(tiny, p, b, kl=0.1)[0]))
  clean, dirty = value(params, batch), value(params, batch | garbage)
  assert clean[0] == dirty[0]
  for a, b in zip(jax.tree.leaves(clean[1]), jax.tree.leaves(dirty[1])):
    np.testing.assert_array_equal(a, b)


def test_recomputed_log_probabilities_are_the_denominator(tiny, params, batch):
  """With the trainer's log-probabilities the first update is on-policy; the gap to the sampler is logged."""
  fields = {k: x for k, x in batch.items() if k != 'reference_logps'}
  options = LossOptions(aggregation='token_mean')
  _, count, sums = jax.jit(functools.partial(mgpo_loss, tiny, options=options))(params, fields)
  np.testing.assert_allclose(sums['ratio'], count, rtol=ROUNDING)
  assert sums['clip_fraction'] == 0 and sums['logp_gap'] / count > 0.1


def test_unknown_aggregation(tiny, params, batch):
  with pytest.raises(ValueError, match='token_mean'):
    run(tiny, params, batch, aggregation='mean')


LAYOUTS = [  # (row lengths, micro_batch, stem)
  ((ROW,), 1, 0),
  ((ROW,), 5, 0),
  ((6, 12, ROW), 1, 0),
  ((12,), 2, 6),
  ((12,), 4, 6),
  ((ROW,), 3, 8),
]


def update(tiny, params, groups, row_lengths, micro_batch, stem=0):
  """(gradient, count, metric sums) of all responses, through the loop over micro-batches."""
  prompts, tokens, lengths = groups
  rng = np.random.default_rng(5)
  logps = np.where(np.arange(T) < lengths[..., None], -3.8 + 0.3 * rng.normal(size=tokens.shape), 0).astype(np.float32)
  advantages = jnp.asarray(rng.normal(size=(P, G)), jnp.float32)
  use = np.arange(P * G).reshape(P, G) != 3
  loss = functools.partial(mgpo_loss, tiny, options=LossOptions())
  accumulate = step_lib.jit_accumulate(None, loss)
  total = None
  groups = Groups(prompts, tokens, logps, lengths, use)
  for micros, count in rl_batches(groups, row_lengths=row_lengths, micro_batch=micro_batch, stem=stem):
    micros['advantages'] = spread(advantages, micros['responses'], micros['mask'])
    total = accumulate(total, params, micros, count)
  return total


@pytest.fixture(scope='module')
def whole(tiny, params, groups):
  return update(tiny, params, groups, (ROW,), 40)


@pytest.mark.parametrize('row_lengths, micro_batch, stem', LAYOUTS, ids=str)
def test_the_same_gradient_in_every_layout(tiny, params, groups, whole, row_lengths, micro_batch, stem):
  """One big batch, micro-batches, shorter rows, shared prompts: the same sums, each token with its weight."""
  gradient, count, sums = update(tiny, params, groups, row_lengths, micro_batch, stem)
  np.testing.assert_allclose(count, P * G - 1, rtol=1e-6)
  for name, value in whole[2].items():
    np.testing.assert_allclose(sums[name], value, rtol=2e-6, atol=1e-6)
  for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(whole[0]), strict=True):
    assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b) > 0


# GRPO, written independently.


def grpo_advantages(rewards):
  n = rewards.shape[1]
  centred = rewards - jnp.sum(rewards, axis=1, keepdims=True) / n
  std = jnp.sqrt(jnp.sum(centred**2, axis=1, keepdims=True) / n)
  return centred / (std + 1e-6)


def grpo_loss(config, params, batch, advantages_PG):
  logp, _ = token_scores(config, params, batch)
  a = advantages_PG.reshape(-1)[batch['responses']] * batch['mask']
  ratio = jnp.exp(logp - batch['behaviour_logps'])
  objective = jnp.minimum(ratio * a, jnp.clip(ratio, 0.8, 1.2) * a)
  return -jnp.sum(jnp.where(batch['mask'] > 0, objective, 0.0) * batch['token_weights'])


def test_strength_zero_is_grpo(tiny, params, batch, rewards):
  """The weight is exactly 1, so the advantages are those without it bit for bit; the rest is GRPO written
  independently."""
  options = LossOptions(strength=0.0)
  sampled = {name: x for name, x in batch.items() if name != 'policy_logps'}
  valid = np.ones((P, G), bool)
  a, _, weight = weighted_advantages(rewards, np.ones((P, G), int), valid, options)
  assert (weight == 1).all() and (a == group_advantages(rewards, valid_PG=valid)).all() and jnp.abs(a).max() > 1
  expected_a = grpo_advantages(rewards)
  np.testing.assert_allclose(a, expected_a, rtol=1e-6)
  fields = sampled | {'advantages': spread(a, batch['responses'], batch['mask'])}
  ours = jax.jit(jax.value_and_grad(lambda p: mgpo_loss(tiny, p, fields, options=options)[0]))
  grpo = jax.jit(jax.value_and_grad(lambda p: grpo_loss(tiny, p, batch, expected_a)))
  (loss, gradient), (expected_loss, expected_gradient) = ours(params), grpo(params)
  np.testing.assert_allclose(loss, expected_loss, rtol=ROUNDING)
  for x, y in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected_gradient), strict=True):
    assert jnp.linalg.norm(x - y) <= ROUNDING * jnp.linalg.norm(y) > 0


def test_weighted_advantages(rewards):
  """Strength 1: the weight of an accuracy p is 2^-1 2^H(p), H in bits."""
  a, accuracy, weight = weighted_advantages(
    rewards, np.ones((P, G), int), np.ones((P, G), bool), LossOptions(strength=1.0)
  )
  np.testing.assert_allclose(accuracy, [0.25, 0.5, 0.75, 1.0])
  entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
  expected = np.array([np.exp(entropy) / 2, 1.0, np.exp(entropy) / 2, 0.5])
  np.testing.assert_allclose(weight, expected, rtol=1e-6)
  np.testing.assert_allclose(a, grpo_advantages(rewards) * expected[:, None], rtol=1e-6)


def test_weighted_advantages_variants(rewards):
  lengths = np.arange(1, 17).reshape(P, G)
  valid = np.ones((P, G), bool)
  valid[1, 0] = False
  a, accuracy, weight = weighted_advantages(
    rewards, lengths, valid, LossOptions(strength=2.0, target=0.25, normalise='none', long2short=0.2)
  )
  np.testing.assert_allclose(accuracy, [1 / 4, 1 / 3, 3 / 4, 1])  # rewards of exactly 1, before shaping
  assert weight[0] == 1.0  # at the target
  # group 1: responses 1 (correct, alone among the valid), 2 and 3 wrong; 0 has no verdict
  np.testing.assert_allclose(a[1] / weight[1], [0, 2 / 3, -1 / 3, -1 / 3], atol=1e-6)
  # group 3, all correct, lengths 13..16: only brevity is left, zero-sum, shortest first
  assert (np.diff(a[3]) < 0).all() and abs(a[3].sum()) < 1e-6
  np.testing.assert_allclose(jnp.abs(a[3] / weight[3]).max(), 0.2, rtol=1e-5)
