"""What is added to the objective or to the rewards: divergence from a reference, length, entropy."""

import jax
import jax.numpy as jnp

from vibethinker_jax.rl import mgpo
from vibethinker_jax.rl.ratio import token_ratio

KL_ESTIMATES = ('k1', 'k2', 'k3')


def kl(estimate: str, logp_BL, reference_logp_BL, behaviour_logp_BL):
  """An estimate of KL(policy || reference) per token (Schulman 2020, "Approximating KL Divergence"), to be minimised.

  With d = log policy - log reference: k1 is d, k2 is d**2 / 2, k3 is exp(-d) - 1 + d. The derivative of k1 has the
  mean 0, so that k1 is differentiated as the reward of its token that it is elsewhere: rho sg[d], rho the ratio to the
  behaviour policy. Then k1 and, on-policy, k2 have the gradient of the divergence; k3's is another one of less variance
  (arXiv 2510.01555).
  """
  if estimate == 'k3':
    return mgpo.low_variance_kl(logp_BL, reference_logp_BL)
  d = logp_BL - jax.lax.stop_gradient(reference_logp_BL)
  return token_ratio(logp_BL, behaviour_logp_BL) * jax.lax.stop_gradient(d) if estimate == 'k1' else d**2 / 2


def overlong(lengths, cache: int, limit: int):
  """DAPO's soft punishment in tokens (arXiv 2503.14476, eq. 13): 0 up to limit - cache, then down to -1 at limit."""
  return -jnp.clip((jnp.asarray(lengths, jnp.float32) - (limit - cache)) / cache, 0.0, 1.0)


def entropy_bonus(coefficient: float, entropy: float | None, options) -> tuple[float, float]:
  """Adaptive entropy control (Skywork-OR1, arXiv 2505.22312): (weight of the bonus now, next coefficient).

  The bonus counts while the entropy is at most the target, and its coefficient grows by entropy_delta while it is
  below, and falls by as much above; between 0 and entropy_max, as in their released scripts.

  Args:
    coefficient: now. entropy: in nats, of the policy on the batch before its update; None: there was nothing to see.
    options: loss.LossOptions; without entropy_target the coefficient stays and always counts.
  """
  if entropy is None or not options.entropy_target:
    return coefficient, coefficient
  step = options.entropy_delta if entropy < options.entropy_target else -options.entropy_delta
  after = min(max(coefficient + step, 0.0), options.entropy_max)
  return coefficient * (entropy <= options.entropy_target), after
