"""Ratios of probabilities: of whole responses (GSPO), as clipped weights (CISPO), between trainer and sampler."""

import jax
import jax.numpy as jnp

stop = jax.lax.stop_gradient


def segment_sums(x_BL, segment_ids_BL):
  """[B, L]: at each position the sum of x over its segment.

  The positions of a segment stand together in a row (as rl.batch lays them out). Two associative scans: in place of a
  scatter, whose order of additions is not the same twice on a GPU, or of a matrix [B, L, L].
  """

  def add(a, b):  # of runs of positions: the sum of the last segment in it so far, and which that is
    (sum_a, id_a), (sum_b, id_b) = a, b
    return jnp.where(id_a == id_b, sum_a + sum_b, sum_b), id_b

  upto, _ = jax.lax.associative_scan(add, (x_BL, segment_ids_BL), axis=1)
  since, _ = jax.lax.associative_scan(add, (x_BL, segment_ids_BL), axis=1, reverse=True)
  return upto + since - x_BL


def token_ratio(logp_BL, behaviour_logp_BL):
  """policy / behaviour of each token; no gradient flows to the behaviour policy."""
  return jnp.exp(logp_BL - stop(behaviour_logp_BL))


def sequence_ratio(logp_BL, behaviour_logp_BL, token_weights_BL, segment_ids_BL):
  """GSPO's ratio (arXiv 2507.18071, eq. 7) at each token of a response y: (policy(y) / behaviour(y)) ** (1 / |y|).

  The gradient is that of GSPO-token (eq. 14), sg[s] policy / sg[policy]: in a mean over the tokens of a response the
  same as GSPO's, and a token that a mask leaves out has none.

  Args:
    logp_BL, behaviour_logp_BL: 0 off the responses. token_weights_BL: 1 / |y| on its tokens, 0 elsewhere.
  """
  difference_BL = stop(logp_BL - behaviour_logp_BL) * token_weights_BL
  return jnp.exp(segment_sums(difference_BL, segment_ids_BL)) * jnp.exp(logp_BL - stop(logp_BL))


def clipped_weight(logp_BL, ratio_BL, advantages_BL, clip_low: float, clip_high: float):
  """CISPO (MiniMax-M1, arXiv 2506.13585, eq. 4): `sg[clip(rho, 1 - clip_low, 1 + clip_high)] A log policy`.

  The weight is clipped, not the token: every token keeps a gradient.

  Returns:
    (objective_BL to be maximised, clipped_BL bool: the weight was clipped).
  """
  weight_BL = stop(jnp.clip(ratio_BL, 1 - clip_low, 1 + clip_high))
  return weight_BL * advantages_BL * logp_BL, weight_BL != ratio_BL


def trust(policy_logp_BL, sampler_logp_BL, cap: float, band: tuple = ()):
  """Weights of tokens by k = trainer / sampler, both before the update; no gradient flows to them.

  Args:
    cap: min(k, cap), truncated importance sampling (Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You
      Off-Policy RL Training"); 0 is none.
    band: (low, high): k inside, 0 outside (IcePop, in Ring-1T, arXiv 2510.18855); () is none.

  Returns:
    (weight_BL, outside_BL bool: masked by the band).
  """
  weight = jnp.exp(policy_logp_BL - sampler_logp_BL)
  outside = (weight < band[0]) | (weight > band[1]) if band else jnp.zeros(weight.shape, bool)
  weight = jnp.minimum(weight, cap) if cap else weight
  return stop(jnp.where(outside, 0.0, weight) if band else weight), outside
