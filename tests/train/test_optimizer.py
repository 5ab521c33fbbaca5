"""The learning rate's schedule, clipping, which parameters decay, and moments in bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vibethinker_jax import sharding
from vibethinker_jax.sharding import path_name
from vibethinker_jax.train import optimizer


def test_schedule():
  rate = optimizer.schedule(1.0, 0.1, warmup_steps=10, total_steps=110)
  np.testing.assert_allclose([rate(s) for s in (0, 5, 10, 60, 110, 500)], [0.0, 0.5, 1.0, 0.55, 0.1, 0.1], atol=1e-6)
  values = np.asarray(jax.vmap(rate)(jnp.arange(10, 111)))
  assert (np.diff(values) < 0).all()
  np.testing.assert_allclose(values[25], 0.1 + 0.9 * (1 + np.cos(np.pi / 4)) / 2, rtol=1e-5)


def test_schedule_without_warmup_and_shorter_than_it():
  assert optimizer.schedule(1.0, 0.1, 0, 100)(0) == 1.0
  assert np.isfinite(optimizer.schedule(1.0, 0.1, 10, 5)(7))


def decayed_names(params):
  """Parameters that change when every gradient is zero."""
  transform = optimizer.adamw(0.1, weight_decay=0.5)
  zeros = jax.tree.map(jnp.zeros_like, params)
  updates, _ = jax.jit(lambda p: transform.update(zeros, transform.init(p), p))(params)
  for (path, u), p in zip(jax.tree_util.tree_leaves_with_path(updates), jax.tree.leaves(params)):
    if u.any():
      np.testing.assert_allclose(u, -0.1 * 0.5 * p, rtol=1e-5)
      yield path_name(path)


def test_norms_and_biases_do_not_decay(params):
  assert set(decayed_names(params)) == {
    'embedding',
    *(f'layers/{name}' for name in ('q', 'k', 'v', 'o', 'gate', 'up', 'down')),
  }


def test_no_decay_by_default():
  transform = optimizer.adamw(0.1)
  params = {'embedding': jnp.ones(3)}
  updates, _ = transform.update({'embedding': jnp.zeros(3)}, transform.init(params), params)
  assert (updates['embedding'] == 0).all()


@pytest.mark.parametrize('scale', [0.01, 100.0])
def test_two_steps_of_adamw_by_hand(scale):
  """Clipped to norm 1 and then Adam: in numpy."""
  transform = optimizer.adamw(0.1, beta1=0.8, beta2=0.9, clip_norm=1.0)
  params = {'layers': {'q': jnp.array([1.0, -2.0])}}
  state, x, m, v = transform.init(params), np.array([1.0, -2.0]), 0, 0
  for t in (1, 2):
    g = scale * np.array([3.0, -4.0]) * t
    updates, state = transform.update({'layers': {'q': jnp.asarray(g)}}, state, params)
    params = optax.apply_updates(params, updates)
    g = g / max(1.0, np.linalg.norm(g))
    m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
    x = x - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)
  np.testing.assert_allclose(params['layers']['q'], x, rtol=1e-5)


def run(transform, gradients, params):
  """The parameters and the state after one update for each gradient."""

  @jax.jit
  def step(carry, gradient):
    params, state = carry
    updates, state = transform.update({'w': gradient}, state, params)
    return ({'w': optax.apply_updates(params['w'], updates['w'])}, state), None

  return jax.lax.scan(step, (params, transform.init(params)), gradients)[0]


def moments(state):
  return [x for x in jax.tree.leaves(state) if x.ndim]


def test_unknown_moments_dtype():
  with pytest.raises(ValueError, match="moments_dtype='float16': choose from float32, bfloat16"):
    optimizer.adamw(0.1, moments_dtype='float16')


def test_bfloat16_moments_take_half_the_memory(params):
  size = lambda dtype: sum(x.nbytes for x in moments(optimizer.adamw(0.1, moments_dtype=dtype).init(params)))
  assert size('float32') == 2 * sum(x.nbytes for x in jax.tree.leaves(params)) == 2 * size('bfloat16')


def test_bfloat16_moments_stay_close_to_float32():
  gradients = jnp.asarray(np.random.default_rng(0).normal(size=(50, 4000)), jnp.float32)
  start = {'w': jnp.zeros(4000)}
  exact, state = run(optimizer.adamw(0.1), gradients, start)
  low, low_state = run(optimizer.adamw(0.1, moments_dtype='bfloat16'), gradients, start)
  assert all(x.dtype == jnp.bfloat16 for x in moments(low_state))
  for a, b in zip(moments(low_state), moments(state), strict=True):
    np.testing.assert_allclose(jnp.mean(a.astype(jnp.float32)), jnp.mean(b), atol=2e-3 * jnp.abs(b).max())
  moved = jnp.sqrt(jnp.mean(exact['w'] ** 2))
  assert jnp.sqrt(jnp.mean((low['w'] - exact['w']) ** 2)) < 0.01 * moved


def test_the_second_moment_falls_after_large_gradients():
  """Rounded to the nearest it would stand still: beta2 = 0.999 moves it by less than half a step of bfloat16."""
  gradients = jnp.concatenate([jnp.ones((1, 500)), jnp.zeros((1000, 500))])
  _, state = run(
    optimizer.adamw(0.1, beta2=0.999, clip_norm=1e9, moments_dtype='bfloat16'), gradients, {'w': jnp.zeros(500)}
  )
  second = moments(state)[1].astype(jnp.float32)
  np.testing.assert_allclose(second.mean() / (1e-3 * 0.999**1000), 1, atol=0.03)
  nearest = jnp.bfloat16(1e-3)
  assert (0.999 * nearest.astype(jnp.float32)).astype(jnp.bfloat16) == nearest


def test_stochastic_rounding():
  x = jnp.array([1.0, 1.0 + 2**-9, -3.0 - 2**-8, 0.0, jnp.inf, -jnp.inf, jnp.nan, 1e-3], jnp.float32)
  draws = jax.vmap(lambda k: optimizer.stochastic_bfloat16(x, k))(jax.random.split(jax.random.key(0), 4000))
  draws = np.asarray(draws, np.float32)
  assert draws.shape == (4000, 8)
  assert (draws[:, [0, 3, 4, 5]] == np.array([1, 0, np.inf, -np.inf])).all() and np.isnan(draws[:, 6]).all()
  assert set(draws[:, 1]) == {1.0, 1.0078125}
  np.testing.assert_allclose(draws[:, [1, 2, 7]].mean(0), x[jnp.array([1, 2, 7])], rtol=3e-4)


@pytest.mark.slow
def test_draws_do_not_depend_on_the_devices(tiny, params, mesh_of):
  transform = optimizer.adamw(0.1, clip_norm=1e9, moments_dtype='bfloat16')
  gradients = jax.tree.map(lambda x: 0.1 * x + 0.01, params)
  plain = jax.jit(transform.update)(gradients, transform.init(params), params)[1]
  mesh = mesh_of(1, 4, 2, 1)
  shapes = jax.eval_shape(transform.init, params)
  split = lambda tree: jax.device_put(tree, sharding.tree_shardings(mesh, jax.eval_shape(lambda: tree)))
  with jax.set_mesh(mesh):
    found = jax.jit(transform.update, out_shardings=(None, sharding.tree_shardings(mesh, shapes)))(
      split(gradients), split(transform.init(params)), split(params)
    )[1]
  first, second = (moments(state) for state in (plain, found))
  assert any(not x.sharding.is_fully_replicated for x in second)
  for a, b in zip(first, second, strict=True):
    # The sharded program may add in another order: a moment at the border of two values of bfloat16 may then fall on
    # the other side of the same draw. Other draws would change half of them.
    a, b = (np.asarray(x, np.float32) for x in (a, jax.device_get(b)))
    np.testing.assert_allclose(a, b, rtol=2**-7)
    assert (a != b).mean() < 0.01
