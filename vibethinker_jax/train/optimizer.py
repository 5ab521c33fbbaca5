"""AdamW with warm-up and cosine decay, from a config."""

from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from vibethinker_jax.config import Range
from vibethinker_jax.sharding import path_name

MOMENTS = ('float32', 'bfloat16')
LearningRate = Annotated[float, Range(gt=0, le=1)]  # AdamW moves each parameter by about that much
Beta = Annotated[float, Range(ge=0, lt=1)]  # at 1 the moments would stay 0


def schedule(learning_rate: float, final_learning_rate: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
  """Linear warm-up to `learning_rate`, then cosine to `final_learning_rate` at `total_steps` (VibeThinker-3B §2.1)."""
  return optax.warmup_cosine_decay_schedule(
    0.0 if warmup_steps else learning_rate,
    learning_rate,
    warmup_steps,
    max(total_steps, warmup_steps + 1),
    final_learning_rate,
  )


def adamw(
  learning_rate: optax.Schedule | float,
  *,
  beta1: float = 0.9,
  beta2: float = 0.95,
  weight_decay: float = 0.0,
  clip_norm: float = 1.0,
  moments_dtype: str = 'float32',
) -> optax.GradientTransformation:
  """Clipping by the global norm, then AdamW; norms and biases are not decayed.

  Args:
    moments_dtype: how both moments are stored, a name of MOMENTS; see `stored`. They are always computed in float32.

  Raises:
    ValueError: another moments_dtype.
  """
  if moments_dtype not in MOMENTS:
    raise ValueError(f'moments_dtype={moments_dtype!r}: choose from {", ".join(MOMENTS)}')

  def decayed(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: not path_name(path).endswith(('norm', 'bias')), params)

  adam = optax.adamw(learning_rate, b1=beta1, b2=beta2, weight_decay=weight_decay, mask=decayed)
  return optax.chain(optax.clip_by_global_norm(clip_norm), stored(adam) if moments_dtype == 'bfloat16' else adam)


def stored(adam: optax.GradientTransformation) -> optax.GradientTransformation:
  """optax.adamw with both moments kept in bfloat16, rounded stochastically.

  A step moves the second moment by a factor of about beta2: by 0.1% at 0.999, where neighbours in bfloat16 are 0.4 to
  0.8% apart. Rounded to the nearest it would never fall again after large gradients, and the steps would stay small;
  rounded up or down by chance it is right on average. The draws are a function of the step and the parameter alone,
  whatever the devices. optax's mu_dtype is the first moment only, to the nearest.
  """
  array = lambda x: x.ndim > 0  # the others are counts

  def init(params):
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if array(x) else x, adam.init(params))

  def update(updates, state, params=None):
    updates, new = adam.update(updates, jax.tree.map(lambda x: x.astype(jnp.float32) if array(x) else x, state), params)
    leaves, tree = jax.tree.flatten(new)
    key = jax.random.fold_in(jax.random.key(0), new[0].count)
    leaves = [stochastic_bfloat16(x, jax.random.fold_in(key, i)) if array(x) else x for i, x in enumerate(leaves)]
    return updates, jax.tree.unflatten(tree, leaves)

  return optax.GradientTransformation(init, update)


def stochastic_bfloat16(x, key):
  """float32 x as one of its two neighbours in bfloat16, the mean of the draws being x; what is not finite stays so."""
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  # bfloat16 is the upper half of a float32: adding noise to the lower half carries as often as that half is large.
  bits += jax.random.bits(key, x.shape, jnp.uint16).astype(jnp.uint32)
  up_or_down = jax.lax.bitcast_convert_type((bits >> 16).astype(jnp.uint16), jnp.bfloat16)
  return jnp.where(jnp.isfinite(x), up_or_down, x.astype(jnp.bfloat16))
