"""Arithmetic on parameter trees."""

import jax
import jax.numpy as jnp

ROUNDING = 1e-6  # of weights whose sum should be 1


def weighted_average(trees: list, weights: list[float]):
  """`sum_i w_i tree_i`, accumulated in float32 (expert model fusion, VibeThinker-1.5B §3.3).

  Raises:
    ValueError: no trees, negative weights, weights that do not sum to 1, or trees that do not match.
  """
  if not trees or len(trees) != len(weights):
    raise ValueError(f'{len(trees)} models and {len(weights)} weights: give one weight per model')
  if min(weights) < 0 or abs(sum(weights) - 1) > ROUNDING:
    raise ValueError(f'merge weights {weights} must be >= 0 and sum to 1')
  shapes = [jax.tree.map(jnp.shape, tree) for tree in trees]
  if any(s != shapes[0] for s in shapes):
    raise ValueError('the models to merge have different parameter trees or shapes')

  def average(*leaves):
    return sum(w * x.astype(jnp.float32) for w, x in zip(weights, leaves)).astype(leaves[0].dtype)

  return jax.tree.map(average, *trees)
