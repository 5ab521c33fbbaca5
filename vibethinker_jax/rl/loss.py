"""The MGPO loss of a packed batch; GRPO, Dr.GRPO, DAPO-style variants are values of its options."""

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp

from vibethinker_jax.config import NotNegative, Range, Share
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.model.transformer import Execution
from vibethinker_jax.rl import advantage, mgpo
from vibethinker_jax.train import loss as train_loss

AGGREGATIONS = ('sequence_mean', 'token_mean')


class LossOptions(NamedTuple):
  """Variants of the objective.

  Attributes:
    strength: lambda of the entropy-deviation weight; 0 is GRPO. target: its p_0.
    normalise: 'std' (GRPO), 'none' (Dr.GRPO).
    aggregation: 'sequence_mean' (the papers: mean over responses of the mean over tokens) or 'token_mean' (DAPO).
    clip_low, clip_high: the ratio is clipped to [1 - clip_low, 1 + clip_high].
    importance_cap: truncated importance sampling; tokens are weighted by min(policy at the start of the update /
      sampler, cap); 0 is off. It matters only where the sampler's numbers differ from the trainer's.
    long2short: strength of the brevity bonus (VibeThinker-3B §2.2.2); 0 is off.
    kl: weight of the KL divergence to the stage's starting policy (k3); 0 is off, as in the papers.
  """

  strength: NotNegative = 4.0
  target: Annotated[float, Range(gt=0, lt=1)] = 0.5
  normalise: Literal[advantage.NORMALISE] = 'std'
  aggregation: Literal[AGGREGATIONS] = 'sequence_mean'
  clip_low: Share = 0.2
  clip_high: NotNegative = 0.2
  importance_cap: NotNegative = 0.0
  long2short: NotNegative = 0.0
  kl: NotNegative = 0.0


def weighted_advantages(rewards_PG, lengths_PG, valid_PG, options: LossOptions, correct_PG=None):
  """On device, from rewards [P, G]: (A'_PG = w_ME(p_c) A, accuracy_P, weight_P).

  Args:
    correct_PG: bool, what p_c is the share of, and what shares the brevity bonus; by default rewards of exactly 1.
  """
  shaped = jnp.asarray(rewards_PG, jnp.float32)
  correct_PG = shaped == 1 if correct_PG is None else correct_PG
  accuracy_P = advantage.group_accuracy(rewards_PG, valid_PG, correct_PG)
  if options.long2short:
    shaped = advantage.long2short(shaped, correct_PG & valid_PG, lengths_PG, options.long2short)
  advantages_PG = advantage.group_advantages(shaped, normalise=options.normalise, valid_PG=valid_PG)
  weight_P = mgpo.entropy_deviation_weight(accuracy_P, options.strength, options.target)
  return advantages_PG * weight_P[:, None], accuracy_P, weight_P


@jax.jit
def spread(advantages_PG, responses_BL, mask_BL):
  """[B, L]: the advantage of the response that each response token of a packed batch belongs to; 0 elsewhere."""
  return advantages_PG.reshape(-1)[responses_BL] * mask_BL


def mgpo_loss(
  config: ModelConfig, params, batch: dict, *, options: LossOptions, execution: Execution = Execution(), chunk: int = 0
):
  """Minus the clipped objective of a packed batch (rl.batch.rl_batches) with its groups' rewards.

  Args:
    batch: the packed arrays, and [R, L] float32: advantages (0 on padding); policy_logps, if the trainer computed them
      before the update (needed with options.importance_cap; they then are the ratio's denominator in place of the
      sampler's); reference_logps, with options.kl.

  Returns:
    (sum, count, metric sums): 'sequence_mean' counts responses, 'token_mean' tokens. The metric logp_gap is the mean
    |trainer - sampler| log-probability: 0 but for rounding on the first update of a batch.

  Raises:
    ValueError: unknown aggregation.
  """
  if options.aggregation not in AGGREGATIONS:
    raise ValueError(f"aggregation={options.aggregation!r}: choose 'sequence_mean' or 'token_mean'")
  logp_BL, entropy_BL = train_loss.token_scores(config, params, batch, execution, chunk)
  mask_BL = batch['mask'].astype(jnp.float32)
  # The inputs are masked, not the results: off the responses exp may overflow, and inf * 0 is NaN in the gradient.
  on = lambda x: jnp.where(mask_BL > 0, x, 0.0)
  logp_names = [name for name in batch if name.endswith('_logps')]
  batch = batch | {name: on(batch[name]) for name in logp_names}
  logp_BL, entropy_BL = on(logp_BL), on(entropy_BL)
  behaviour_BL = batch.get('policy_logps', batch['behaviour_logps'])
  objective_BL, ratio_BL, clipped_BL = mgpo.clipped_objective(
    logp_BL, behaviour_BL, batch['advantages'], options.clip_low, options.clip_high
  )
  if options.importance_cap:
    trust = jnp.exp(batch['policy_logps'] - batch['behaviour_logps'])
    objective_BL *= jax.lax.stop_gradient(jnp.minimum(trust, options.importance_cap))
  if options.kl:
    objective_BL -= options.kl * mgpo.low_variance_kl(logp_BL, batch['reference_logps'])
  by_token = batch['token_weights'] if options.aggregation == 'sequence_mean' else mask_BL
  gap_BL = jnp.abs(logp_BL - batch['behaviour_logps'])
  mean = lambda x: jnp.sum(x * by_token)
  loss = -mean(objective_BL)
  return (
    loss,
    jnp.sum(by_token),
    {
      'loss': loss,
      'entropy': mean(entropy_BL),
      'ratio': mean(ratio_BL),
      'clip_fraction': mean(clipped_BL),
      'logp_gap': mean(gap_BL),
    },
  )
