"""One update: the same whatever the micro-batches and the mesh, skipped where not finite; and it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.rl.loss import LossOptions, mgpo_loss
from vibethinker_jax.train import loss as loss_lib, optimizer, state as state_lib, step as step_lib

ROWS, LENGTH = 8, 16
SGD = optax.sgd(1.0)  # parameters minus new parameters is the gradient
VARIANTS = LossOptions(  # of each kind that adds something to a position
  ratio='sequence',
  clip_high=0.05,
  aggregation='constant',
  importance_band=(0.7, 1.5),
  kl=0.1,
  kl_estimate='k1',
  entropy=0.02,
)
MESHES = [(8, 1, 1, 1), (1, 8, 1, 1), (2, 2, 2, 1), (1, 2, 4, 1), (2, 1, 2, 2)]


@pytest.fixture(scope='module')
def losses(tiny):
  options = LossOptions(kl=0.1, importance_cap=1.5)
  return {
    'sft': functools.partial(loss_lib.sft, tiny, chunk=10),
    'mgpo': functools.partial(mgpo_loss, tiny, chunk=10, options=options),
    'variants': lambda params, batch: mgpo_loss(
      tiny, params, batch | {'entropy_weight': 0.02}, chunk=10, options=VARIANTS, limit=9
    ),
  }


@pytest.fixture(scope='module')
def batch(packed_batch):
  """Fields of both losses; documents and rows with different numbers of response tokens."""
  batch = packed_batch(ROWS, LENGTH)
  rng = np.random.default_rng(1)
  logps = lambda: jnp.asarray(-4 + 0.3 * rng.normal(size=(ROWS, LENGTH)), jnp.float32)
  mask = batch['mask'].astype(jnp.float32)
  return batch | {
    'advantages': jnp.asarray(rng.normal(size=(ROWS, LENGTH)), jnp.float32) * mask,
    'token_weights': mask / 4,
    'behaviour_logps': logps(),
    'policy_logps': logps(),
    'reference_logps': logps(),
  }


def fresh(params, transform=SGD):
  """A state that may be donated."""
  return state_lib.create(jax.tree.map(jnp.array, jax.device_get(params)), transform)


@pytest.fixture(scope='module')
def step_of(losses, params):
  """(loss, micro_batches) -> a compiled SGD step."""
  return functools.cache(
    lambda name, micro_batches=1: step_lib.jit_train_step(
      fresh(params), loss=losses[name], optimizer=SGD, micro_batches=micro_batches
    )
  )


@pytest.fixture(scope='module')
def expected(losses, params, batch):
  """{loss: (new parameters, metrics)} of a plain step on one device, without train/step.py."""

  def plain(loss):
    def mean(p):
      total, count, sums = loss(p, batch)
      return total / count, {name: value / count for name, value in sums.items()} | {'count': count}

    (_, metrics), gradient = jax.jit(jax.value_and_grad(mean, has_aux=True))(params)
    return jax.tree.map(np.subtract, jax.device_get(params), jax.device_get(gradient)), metrics

  return {name: plain(loss) for name, loss in losses.items()}


def same(state, metrics, expected):
  for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(expected[0]), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
  for name, value in expected[1].items():
    np.testing.assert_allclose(metrics[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name, micro_batches', [('sft', 1), ('mgpo', 1), ('sft', 2), ('mgpo', 4)])
def test_micro_batches(step_of, params, batch, expected, name, micro_batches):
  state, metrics = step_of(name, micro_batches)(fresh(params), batch)
  same(state, metrics, expected[name])
  assert (state.step, state.skipped, metrics['skipped']) == (1, 0, 0)
  moved = jax.tree.map(np.subtract, jax.device_get(params), jax.device_get(state.params))
  np.testing.assert_allclose(metrics['grad_norm'], sum((x**2).sum() for x in jax.tree.leaves(moved)) ** 0.5, rtol=1e-3)


@pytest.mark.parametrize('name', ['sft', 'mgpo'])
def test_accumulation_over_two_unequal_halves(losses, params, batch, expected, name):
  """Weighted by tokens: the mean of the means would be another gradient."""
  state = fresh(params)
  shardings = jax.tree.map(lambda x: x.sharding, state.params)
  accumulate, apply = step_lib.jit_accumulate(shardings, losses[name]), step_lib.jit_apply(state, SGD)
  first, second = ({k: x[rows][None] for k, x in batch.items()} for rows in (slice(0, 3), slice(3, 8)))
  assert first['mask'].sum() / 3 != second['mask'].sum() / 5
  total = accumulate(None, state.params, first, 1)
  total = accumulate(total, state.params, second, 1)
  same(*apply(state, total), expected[name])


def test_a_loop_over_as_many_micro_batches_as_there_are(losses, params, batch, expected):
  """What stands behind them does not count, and another number of them compiles nothing."""
  state = fresh(params)
  accumulate = step_lib.jit_accumulate(jax.tree.map(lambda x: x.sharding, state.params), losses['mgpo'])
  micros = {k: jnp.pad(x.reshape(4, 2, LENGTH), ((0, 4), (0, 0), (0, 0)), constant_values=3) for k, x in batch.items()}
  total = accumulate(None, state.params, micros, 4)
  half = accumulate(None, state.params, micros, 2)
  assert accumulate._cache_size() == 1
  assert 0 < half[1] < total[1]
  same(*step_lib.jit_apply(state, SGD)(state, total), expected['mgpo'])


def test_map_over_micro_batches(tiny, params, batch):
  score = lambda p, b: loss_lib.token_scores(tiny, p, b)[0]
  micros = {k: x.reshape(4, 2, LENGTH) for k, x in batch.items()}
  mapped = step_lib.jit_map(score)(params, micros, 3)
  whole = jax.jit(score)(params, batch).reshape(4, 2, LENGTH)
  np.testing.assert_allclose(mapped[:3], whole[:3], atol=1e-5)
  assert not mapped[3].any() and whole[3].any()


@pytest.mark.parametrize(
  'name, sizes, micro_batches',
  [
    *(('sft', sizes, 1) for sizes in MESHES),
    ('mgpo', (1, 8, 1, 1), 1),
    ('mgpo', (2, 1, 2, 2), 1),
    ('variants', (2, 1, 2, 2), 1),
    ('variants', (1, 4, 1, 2), 2),
    ('sft', (2, 2, 1, 1), 2),
  ],
  ids=str,
)
def test_meshes(losses, params, batch, expected, mesh_of, name, sizes, micro_batches):
  mesh = mesh_of(*sizes)
  shardings = sharding.tree_shardings(mesh, jax.eval_shape(lambda p: state_lib.create(p, SGD), params))
  with jax.set_mesh(mesh):
    state = jax.device_put(fresh(params), shardings)
    step = step_lib.jit_train_step(state, loss=losses[name], optimizer=SGD, micro_batches=micro_batches)
    state, metrics = step(state, jax.device_put(batch, sharding.batch_sharding(mesh)))
    same(state, metrics, expected[name])
  assert jax.tree.all(jax.tree.map(lambda x, s: x.sharding.is_equivalent_to(s, x.ndim), state, shardings))


@pytest.fixture(scope='module')
def adam():
  return optimizer.adamw(1e-2)


def test_not_finite_is_skipped(losses, params, batch, adam):
  step = step_lib.jit_train_step(fresh(params, adam), loss=losses['mgpo'], optimizer=adam)
  start, _ = step(fresh(params, adam), batch)  # moments that are not zero
  before = jax.device_get(start)
  at = tuple(np.argwhere(batch['mask'])[0])
  bad = batch | {'advantages': batch['advantages'].at[at].set(jnp.nan)}
  state, metrics = step(start, bad)
  assert metrics['skipped'] == 1 and not np.isfinite(metrics['grad_norm'])
  for field in ('params', 'opt_state'):
    for a, b in zip(jax.tree.leaves(getattr(state, field)), jax.tree.leaves(getattr(before, field)), strict=True):
      np.testing.assert_array_equal(a, b)
  assert (state.step, state.skipped) == (2, 1)
  state, _ = step(state, bad | {'advantages': batch['advantages'].at[at].set(jnp.inf)})
  assert (state.step, state.skipped) == (3, 2)  # in a row
  state, metrics = step(state, batch)
  assert (state.step, state.skipped, metrics['skipped']) == (4, 0, 0)
  assert (np.asarray(state.params['layers']['q']) != before.params['layers']['q']).any()


def test_nothing_to_learn_is_no_update(step_of, params, batch):
  state, metrics = step_of('sft')(fresh(params), batch | {'mask': jnp.zeros_like(batch['mask'])})
  assert metrics['loss'] == 0 and metrics['grad_norm'] == 0 and metrics['skipped'] == 0
  for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(params), strict=True):
    np.testing.assert_array_equal(a, b)


def test_sft_loss_is_the_mean_over_response_tokens(tiny, params, batch, expected):
  logp = jax.nn.log_softmax(
    jax.jit(lambda b: transformer.logits(tiny, params, b['tokens'], b['positions'], b['segment_ids']))(batch), -1
  )
  picked = np.take_along_axis(np.asarray(logp), np.asarray(batch['targets'])[..., None], -1)[..., 0]
  chosen = np.asarray(batch['mask']) == 1
  np.testing.assert_allclose(expected['sft'][1]['loss'], -picked[chosen].mean(), rtol=1e-5)
  np.testing.assert_allclose(expected['sft'][1]['entropy'], -(np.exp(logp) * logp).sum(-1)[chosen].mean(), rtol=1e-5)
  assert expected['sft'][1]['count'] == chosen.sum()


def test_init_and_abstract_agree(tiny, params, mesh_of, adam):
  mesh = mesh_of(1, 4, 2, 1)
  abstract = state_lib.abstract(tiny, adam, mesh)
  state = state_lib.init(tiny, adam, mesh, params=params)
  placed = lambda x, a: x.sharding.is_equivalent_to(a.sharding, x.ndim)
  same_kind = lambda x, a: (x.shape, x.dtype) == (a.shape, a.dtype) and placed(x, a)
  assert jax.tree.all(jax.tree.map(same_kind, state, abstract))
  np.testing.assert_array_equal(state.params['layers']['q'], params['layers']['q'])
  jax.tree.map(lambda x: x.delete(), state)
  assert not params['layers']['q'].is_deleted()  # the state does not share buffers with what it was made from


@pytest.mark.parametrize('moments_dtype', ['float32', pytest.param('bfloat16', marks=pytest.mark.slow)])
def test_learns_to_copy(tiny, params, vocab_size, moments_dtype):
  """[a b c d SEP a b c d]: the loss of the copied half falls far below that of guessing."""
  adam = optimizer.adamw(optimizer.schedule(2e-2, 2e-3, 5, 100), weight_decay=0.0, moments_dtype=moments_dtype)
  start = jax.tree_util.tree_map_with_path(
    lambda path, x: x if 'norm' in jax.tree_util.keystr(path) else 0.4 * x, params
  )
  loss = functools.partial(loss_lib.sft, tiny)
  step = step_lib.jit_train_step(fresh(start, adam), loss=loss, optimizer=adam)
  state, rng, history = fresh(start, adam), np.random.default_rng(0), []
  for _ in range(100):
    half = rng.integers(1, 9, (64, 4))
    ids = np.concatenate([half, np.zeros((64, 1), int), half], axis=1)
    row = np.arange(8)[None] + 0 * ids[:, :-1]
    state, metrics = step(
      state,
      {
        'tokens': ids[:, :-1],
        'targets': ids[:, 1:],
        'positions': row,
        'segment_ids': 1 + 0 * row,
        'mask': (row >= 4).astype(int),
      },
    )
    history.append(float(metrics['loss']))
  assert history[0] > 2.5 and np.mean(history[-5:]) < 1.2, history[::10]  # guessing among 8: log 8 = 2.08
