"""Weighted averages of parameter trees, and of models that are opened one after the other."""

import gc
from typing import NamedTuple
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.programs.merge import average, weighted_average


class Opened(NamedTuple):
  name: str
  params: dict


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


def test_models_are_opened_one_after_the_other():
  """While the sixth is opened, none of the five before is left: two are in memory whatever their number."""
  models, weights, left = {f'sft@{i}': tree for i, tree in enumerate(trees(6))}, [0.3, 0.1, 0.2, 0.1, 0.2, 0.1], []
  expected = weighted_average(list(models.values()), weights)

  def open_(source):
    gc.collect()
    assert [reference() for reference in left] == [None] * len(left)
    params = jax.tree.map(jnp.array, models[source])  # a copy that nobody else holds
    left.extend(weakref.ref(x) for x in jax.tree.leaves(params))
    return Opened(source, params)

  found = average(open_, list(models), weights)
  assert len(left) == 12 and found.name == 'sft@0'
  assert all(jax.tree.leaves(jax.tree.map(lambda a, b: (a == b).all() and a.dtype == b.dtype, found.params, expected)))


def test_bad_weights_open_nothing():
  with pytest.raises(ValueError, match='sum to 1'):
    average(pytest.fail, ['sft@1', 'sft@2'], [0.6, 0.6])
