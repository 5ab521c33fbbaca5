"""The learning rate's schedule, clipping, and which parameters decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vibethinker_jax.sharding import path_name
from vibethinker_jax.train import optimizer


def test_schedule():
  rate = optimizer.schedule(1.0, 0.1, warmup_steps=10, total_steps=110)
  np.testing.assert_allclose([rate(s) for s in (0, 5, 10, 60, 110, 500)], [0.0, 0.5, 1.0, 0.55, 0.1, 0.1],
                             atol=1e-6)
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
      'embedding', *(f'layers/{name}' for name in ('q', 'k', 'v', 'o', 'gate', 'up', 'down'))}


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
    x = x - 0.1 * (m / (1 - 0.8 ** t)) / (np.sqrt(v / (1 - 0.9 ** t)) + 1e-8)
  np.testing.assert_allclose(params['layers']['q'], x, rtol=1e-5)
