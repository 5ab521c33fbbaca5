"""The entropy-deviation weight, the clipped objective and the KL estimate against numpy and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.rl import mgpo
from vibethinker_jax.rl.ratio import token_ratio


def reference(p, strength, target):
  """float64; 0 log 0 = 0."""
  with np.errstate(divide='ignore', invalid='ignore'):
    terms = p * np.log(p / target), (1 - p) * np.log((1 - p) / (1 - target))
    d = sum(np.nan_to_num(term, nan=0.0) for term in terms)
  return np.exp(-strength * d)


@pytest.mark.parametrize('strength', [0.5, 1.0, 4.0])
@pytest.mark.parametrize('target', [0.5, 0.3, 0.9])
def test_formula(strength, target):
  p = np.linspace(0, 1, 33)
  found = mgpo.entropy_deviation_weight(p, strength, target)
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, reference(p, strength, target), rtol=2e-6)


@pytest.mark.parametrize('strength', [1.0, 4.0])
@pytest.mark.parametrize('compile', [lambda f: f, jax.jit])
def test_certain_groups(strength, compile):
  """D_ME = log 2 at p of 0 and 1, so the weight is 2^-strength; value and gradient are finite."""
  weight = lambda p: mgpo.entropy_deviation_weight(p, strength)
  for p in (0.0, 1.0):
    np.testing.assert_allclose(compile(weight)(p), 2.0**-strength, rtol=2e-7)
    assert np.isfinite(compile(jax.grad(weight))(p))
  np.testing.assert_array_equal(weight(jnp.array([[0.0, 1.0]])).shape, (1, 2))


@pytest.mark.parametrize('target', [0.5, 0.25])
def test_largest_at_the_target_and_symmetric_about_a_half(target):
  p = np.linspace(0, 1, 101)
  w = np.asarray(mgpo.entropy_deviation_weight(p, 2.0, target))
  assert p[w.argmax()] == target and w.max() == 1.0
  assert (np.diff(w[: w.argmax()]) > 0).all() and (np.diff(w[w.argmax() :]) < 0).all()
  if target == 0.5:
    np.testing.assert_allclose(w, w[::-1], rtol=1e-6)


def test_gradient():
  p = np.linspace(0.05, 0.95, 19)
  slope = jax.grad(lambda p: mgpo.entropy_deviation_weight(p, 3.0, 0.4))
  expected = (reference(p + 1e-6, 3.0, 0.4) - reference(p - 1e-6, 3.0, 0.4)) / 2e-6
  np.testing.assert_allclose(jax.vmap(slope)(jnp.asarray(p, jnp.float32)), expected, atol=1e-4)


def test_strength_zero_is_exactly_one():
  assert (np.asarray(mgpo.entropy_deviation_weight(np.linspace(0, 1, 17), 0.0)) == 1.0).all()


@pytest.mark.parametrize('strength, target', [(-0.1, 0.5), (1.0, 0.0), (1.0, 1.0)])
def test_errors(strength, target):
  with pytest.raises(ValueError, match='entropy-deviation'):
    mgpo.entropy_deviation_weight(0.5, strength, target)


# ratio, advantage -> objective, clipped, d objective / d logp; clip 0.2 below and 0.3 above.
TABLE = [
  (1.0, 1.0, 1.0, False, 1.0),
  (1.0, -1.0, -1.0, False, -1.0),
  (1.25, 2.0, 2.5, False, 2.5),
  (1.5, 1.0, 1.3, True, 0.0),
  (1.5, -1.0, -1.5, False, -1.5),
  (0.5, 1.0, 0.5, False, 0.5),
  (0.5, -1.0, -0.8, True, 0.0),
  (3.0, 2.0, 2.6, True, 0.0),
  (0.1, -2.0, -1.6, True, 0.0),
  (2.0, 0.0, 0.0, False, 0.0),
]


def objective_of(logp, behaviour, advantages, low, high):
  """(objective, ratio, whether the clip was active) of tokens, as the loss puts them together."""
  ratio = token_ratio(logp, behaviour)
  objective, clipped = mgpo.clipped(ratio, advantages, low, high)
  return objective, ratio, clipped


def test_clipped_objective_table():
  ratio, advantage, objective, clipped, slope = (np.array(column) for column in zip(*TABLE))
  behaviour = np.full(len(TABLE), -2.0, np.float32)
  logp = behaviour + np.log(ratio).astype(np.float32)
  found, found_ratio, found_clipped = objective_of(logp, behaviour, advantage, 0.2, 0.3)
  np.testing.assert_allclose(found, objective, atol=1e-6)
  np.testing.assert_allclose(found_ratio, ratio, rtol=1e-6)
  assert (found_clipped == clipped).all()
  total = lambda logp, behaviour: objective_of(logp, behaviour, advantage, 0.2, 0.3)[0].sum()
  by_logp, by_behaviour = jax.grad(total, argnums=(0, 1))(logp, behaviour)
  np.testing.assert_allclose(by_logp, slope, atol=1e-5)
  assert (by_behaviour == 0).all()


def test_on_policy_ratio_is_exactly_one():
  logp = np.random.default_rng(0).normal(size=100).astype(np.float32) - 3
  _, ratio, clipped = objective_of(logp, logp, np.ones(100), 0.0, 0.0)
  assert (ratio == 1).all() and not clipped.any()


def test_kl_is_never_negative_and_unbiased():
  rng = np.random.default_rng(1)
  logp, reference_logp = (rng.normal(size=10_000).astype(np.float32) * s for s in (3, 3))
  assert (mgpo.low_variance_kl(logp, reference_logp) >= 0).all()
  assert (mgpo.low_variance_kl(logp, logp) == 0).all()
  p, q = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(20))
  k3 = mgpo.low_variance_kl(jnp.log(p), jnp.log(q))
  # its mean under p is the divergence
  np.testing.assert_allclose((p * k3).sum(), (p * np.log(p / q)).sum(), rtol=1e-4)
  slopes = jax.grad(lambda a, b: mgpo.low_variance_kl(a, b).sum(), argnums=(0, 1))(jnp.log(p), jnp.log(q))
  np.testing.assert_allclose(slopes[0], 1 - q / p, rtol=1e-3, atol=1e-4)
  assert (slopes[1] == 0).all()
