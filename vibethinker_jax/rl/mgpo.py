"""MaxEnt-Guided Policy Optimization (VibeThinker-1.5B §3.4): the entropy-deviation weight and the clipped objective."""

import jax
import jax.numpy as jnp


def entropy_deviation(accuracy, target: float = 0.5):
  """`D_ME(p || p0) = p log(p / p0) + (1 - p) log((1 - p) / (1 - p0))`, in nats; 0 log 0 = 0.

  Exact at p = 0 and p = 1 (a clipped logarithm would give NaN there in float32, and NaN times a zero advantage is
  NaN), and its gradient is finite everywhere.
  """
  p = jnp.asarray(accuracy, jnp.float32)

  def term(x, x0):
    safe = jnp.where(x > 0, x, 1.0)
    return jnp.where(x > 0, safe * jnp.log(safe / x0), 0.0)

  return term(p, target) + term(1.0 - p, 1.0 - target)


def entropy_deviation_weight(accuracy, strength: float, target: float = 0.5):
  """`w_ME(p_c) = exp(-strength * D_ME(p_c || target))`: 1 at the target, smaller the more certain the group.

  Args:
    accuracy: group accuracy p_c in [0, 1], any shape.
    strength: lambda of the paper, >= 0; 0 gives exactly 1 (GRPO).
    target: p_0, in (0, 1).

  Returns:
    float32, the shape of accuracy.

  Raises:
    ValueError: strength < 0 or target outside (0, 1).
  """
  if strength < 0 or not 0 < target < 1:
    raise ValueError(f'entropy-deviation weight: strength={strength} must be >= 0 and target={target} inside (0, 1)')
  return jnp.exp(-strength * entropy_deviation(accuracy, target))


def clipped(ratio_BL, advantages_BL, clip_low: float, clip_high: float):
  """Per-token `min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A)`, to be maximised.

  Returns:
    (objective_BL, clipped_BL bool: the clip was active).
  """
  free, bounded = ratio_BL * advantages_BL, jnp.clip(ratio_BL, 1 - clip_low, 1 + clip_high) * advantages_BL
  return jnp.minimum(free, bounded), bounded < free


def low_variance_kl(logp_BL, reference_logp_BL):
  """The k3 estimate of KL(policy || reference) per token: exp(d) - d - 1 with d = reference - policy; never < 0."""
  d = jax.lax.stop_gradient(reference_logp_BL) - logp_BL
  return jnp.expm1(d) - d
