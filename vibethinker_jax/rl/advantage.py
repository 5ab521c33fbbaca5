"""Advantages of groups of responses, on device."""

import jax.numpy as jnp

NORMALISE = ('std', 'none')


def group_advantages(rewards_PG, *, normalise: str = 'std', valid_PG=None, epsilon: float = 1e-6):
  """Group-relative advantages `A_i = (r_i - mean r) / std r` (VibeThinker-1.5B §3.4, after GRPO).

  Args:
    rewards_PG: float.
    normalise: 'std', or 'none' (Dr.GRPO: centred only).
    valid_PG: bool, responses that have a verdict; the others take no part and get 0. Default: all.
    epsilon: added to the standard deviation. A group of equal rewards gets exactly 0.

  Returns:
    float32 [P, G].

  Raises:
    ValueError: unknown normalise.
  """
  if normalise not in NORMALISE:
    raise ValueError(f"normalise={normalise!r}: choose 'std' or 'none'")
  rewards = jnp.asarray(rewards_PG, jnp.float32)
  valid = jnp.ones_like(rewards) if valid_PG is None else jnp.asarray(valid_PG, jnp.float32)
  # The squares of very large rewards would not be finite; for all others the scale is 1, which changes no bit.
  largest = jnp.max(jnp.abs(rewards) * valid, axis=1, keepdims=True)
  scale = jnp.where(largest > 2.0**60, largest, 1.0)
  rewards = rewards / scale
  n = jnp.maximum(jnp.sum(valid, axis=1, keepdims=True), 1.0)
  centred = (rewards - jnp.sum(rewards * valid, axis=1, keepdims=True) / n) * valid
  # The mean of equal rewards such as 0.1 is off by rounding, which the division by the deviation would blow up.
  equal = jnp.max(jnp.where(valid > 0, rewards, -jnp.inf), axis=1, keepdims=True) == jnp.min(
    jnp.where(valid > 0, rewards, jnp.inf), axis=1, keepdims=True
  )
  centred = jnp.where(equal, 0.0, centred)
  if normalise == 'none':
    return centred * scale
  return centred / (jnp.sqrt(jnp.sum(centred**2, axis=1, keepdims=True) / n) + epsilon / scale)


def group_accuracy(rewards_PG, valid_PG=None, correct_PG=None):
  """p_c [P]: the share of correct responses among those that have a verdict; by default those of reward exactly 1.

  A mean of graded rewards would not do for p: the entropy-deviation weight is about the chance of being right.
  """
  correct = (jnp.asarray(rewards_PG) == 1 if correct_PG is None else jnp.asarray(correct_PG)).astype(jnp.float32)
  valid = jnp.ones_like(correct) if valid_PG is None else jnp.asarray(valid_PG, jnp.float32)
  return jnp.sum(correct * valid, axis=1) / jnp.maximum(jnp.sum(valid, axis=1), 1.0)


def long2short(rewards_PG, correct_PG, lengths_PG, strength: float = 0.2):
  """Zero-sum brevity bonus among the correct responses of a group (VibeThinker-3B §2.2.2).

  `r'_i = r_i + strength * (s_i - mean s) / max_j |s_j - mean s|` with `s_i = 1 / L_i` over the correct ones; wrong
  responses, and groups whose correct responses are equally long, are unchanged.

  Args:
    rewards_PG: float. correct_PG: bool. lengths_PG: int, tokens, at least 1.
  """
  correct = jnp.asarray(correct_PG, jnp.float32)
  brevity = correct / jnp.maximum(jnp.asarray(lengths_PG, jnp.float32), 1.0)
  n = jnp.maximum(jnp.sum(correct, axis=1, keepdims=True), 1.0)
  centred = (brevity - jnp.sum(brevity, axis=1, keepdims=True) / n) * correct
  largest = jnp.max(jnp.abs(centred), axis=1, keepdims=True)
  # Equal lengths differ by rounding only: 1e-6 of the brevity itself, far under a difference of one token.
  tied = largest <= 1e-6 * jnp.max(brevity, axis=1, keepdims=True)
  bonus = jnp.where(tied, 0.0, centred / jnp.where(tied, 1.0, largest))
  return jnp.asarray(rewards_PG, jnp.float32) + strength * bonus
