"""Weighted averages of parameter trees."""

import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.programs.merge import weighted_average


def trees(count, dtype=np.float32):
  rng = np.random.default_rng(0)
  normal = lambda *shape: jnp.asarray(rng.normal(size=shape), dtype)
  return [{'a': normal(3, 4), 'b': {'c': normal(5)}} for _ in range(count)]


@pytest.mark.parametrize('weights', [(0.25,) * 4, (0.7, 0.1, 0.2, 0.0), (1.0, 0.0, 0.0, 0.0)])
def test_average(weights):
  models = trees(4)
  found = weighted_average(models, list(weights))
  for get in (lambda t: t['a'], lambda t: t['b']['c']):
    expected = sum(w * np.asarray(get(m), np.float64) for w, m in zip(weights, models))
    np.testing.assert_allclose(get(found), expected, atol=1e-6)


def test_one_model_is_itself():
  (model,) = trees(1)
  assert (weighted_average([model], [1.0])['a'] == model['a']).all()


def test_accumulates_in_float32_and_keeps_the_dtype():
  """Four times 1/3 of 1 + 2^-7 and so on would drift in bfloat16."""
  models = [{'x': jnp.full(100, v, jnp.bfloat16)} for v in (1.0, 1.0078125, 1.015625)]
  found = weighted_average(models, [1 / 3] * 3)['x']
  assert found.dtype == jnp.bfloat16 and (found == jnp.bfloat16(1.0078125)).all()


@pytest.mark.parametrize(
  'count, weights, message',
  [(0, [], '0 models'), (2, [1.0], '2 models and 1 weights'), (2, [0.6, 0.6], 'sum to 1'), (2, [1.5, -0.5], '>= 0')],
)
def test_errors(count, weights, message):
  with pytest.raises(ValueError, match=message):
    weighted_average(trees(count), weights)


@pytest.mark.parametrize('other', [{'a': jnp.ones((3, 4))}, {'a': jnp.ones((4, 3)), 'b': {'c': jnp.ones(5)}}])
def test_trees_that_do_not_match(other):
  with pytest.raises(ValueError, match='different parameter trees'):
    weighted_average([*trees(1), other], [0.5, 0.5])
