"""The MGPO loss of a packed batch; GRPO, Dr.GRPO, DAPO, GSPO, CISPO and others are values of its options."""

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp

from vibethinker_jax.config import AboveZero, Count, NotNegative, Range, Share
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.model.transformer import Execution
from vibethinker_jax.rl import advantage, mgpo, penalty, ratio
from vibethinker_jax.train import loss as train_loss

AGGREGATIONS = ('sequence_mean', 'token_mean', 'constant')
OBJECTIVES, RATIOS = ('clipped', 'cispo'), ('token', 'sequence')


class LossOptions(NamedTuple):
  """Variants of the objective; all of them compose with the entropy-deviation weight.

  Attributes:
    strength: lambda of the entropy-deviation weight; 0 is GRPO. target: its p_0.
    normalise: 'std' (GRPO), 'none' (Dr.GRPO, arXiv 2503.20783).
    aggregation: 'sequence_mean' (the papers: mean over responses of the mean over tokens), 'token_mean' (DAPO, arXiv
      2503.14476), or 'constant' (Dr.GRPO: mean over responses of the sum over tokens / sampler.max_tokens).
    clip_low, clip_high: the ratio is clipped to [1 - clip_low, 1 + clip_high]; DAPO's are 0.2 and 0.28, GSPO's 3e-4 and
      4e-4, CISPO's 1 (no lower bound) and its own.
    importance_cap: truncated importance sampling; tokens are weighted by min(policy at the start of the update /
      sampler, cap); 0 is off. It matters only where the sampler's numbers differ from the trainer's.
    long2short: strength of the brevity bonus (VibeThinker-3B §2.2.2); 0 is off.
    kl: weight of the KL divergence to the stage's starting policy; 0 is off, as in the papers.
    kl_estimate: its estimate per token, 'k1', 'k2' or 'k3', see penalty.kl.
    relative_weight: the entropy-deviation weight is divided by its mean over the groups of the batch that have
      advantages, so that another strength looks elsewhere and does not step less.
    objective: 'clipped' (PPO's minimum), or 'cispo' (arXiv 2506.13585: the ratio is a clipped weight of log-likelihood
      without gradient, every token learns).
    ratio: of each 'token', or of the whole 'sequence' (GSPO, arXiv 2507.18071: the geometric mean over its tokens).
    importance_band: (low, high), such as (0.5, 5.0): tokens whose policy at the start of the update / sampler is
      outside count 0, those inside are weighted by it (IcePop, arXiv 2510.18855); () is off. With importance_cap, which
      must lie inside, the weights are capped too. Masked tokens stay in the denominators.
    mask_truncated: responses cut off at sampler.max_tokens are not trained on, though they count in the mean, the
      deviation and the accuracy of their group (DAPO's overlong filtering).
    overlong_cache: tokens before sampler.max_tokens in which the reward falls by up to 1 (DAPO's soft punishment); 0 is
      off. Accuracies and which groups are useful do not see it. config.rewards can have an `overlong` of its own.
    entropy: coefficient of an entropy bonus per token; where it adapts, its start. 0 is off.
    entropy_target: nats per token; the coefficient then adapts (Skywork-OR1, arXiv 2505.22312, see
      penalty.entropy_bonus) and is saved with the checkpoints. 0: it is fixed.
    entropy_delta: what it changes by per step. entropy_max: what it stays under.
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
  kl_estimate: Literal[penalty.KL_ESTIMATES] = 'k3'
  relative_weight: bool = False
  objective: Literal[OBJECTIVES] = 'clipped'
  ratio: Literal[RATIOS] = 'token'
  importance_band: tuple[()] | tuple[AboveZero, AboveZero] = ()
  mask_truncated: bool = False
  overlong_cache: Count = 0
  entropy: NotNegative = 0.0
  entropy_target: NotNegative = 0.0
  entropy_delta: AboveZero = 1e-4
  entropy_max: AboveZero = 5e-3

  def conflicts(self):
    defaults = type(self)()
    if self.importance_band:
      low, high = self.importance_band
      if not low <= 1 <= high or low == high:
        yield f'importance_band={self.importance_band} must be (low, high) around 1, which equal policies have'
      elif self.importance_cap and not low < self.importance_cap < high:
        yield f'importance_cap={self.importance_cap} must be inside importance_band={self.importance_band}, or 0'
    if self.kl_estimate != defaults.kl_estimate and not self.kl:
      yield f'kl_estimate={self.kl_estimate!r} is read with kl > 0 only'
    for name in ('entropy_delta', 'entropy_max'):
      if getattr(self, name) != getattr(defaults, name) and not self.entropy_target:
        yield f'{name}={getattr(self, name)} is read with entropy_target > 0 only'
    if self.entropy_target and self.entropy > self.entropy_max:
      yield f'entropy={self.entropy} must be at most entropy_max={self.entropy_max}'

  def corrects(self) -> bool:
    """Whether the trainer's log-probabilities at the start of the update are needed."""
    return bool(self.importance_cap or self.importance_band)

  def rewards_entropy(self) -> bool:
    return bool(self.entropy or self.entropy_target)


def weighted_advantages(rewards_PG, lengths_PG, valid_PG, options: LossOptions, correct_PG=None, limit: int = 0):
  """On device, from rewards [P, G]: (A'_PG = w_ME(p_c) A, accuracy_P, weight_P).

  Args:
    correct_PG: bool, what p_c is the share of, and what shares the brevity bonus; by default rewards of exactly 1.
    limit: tokens that a response may have, with options.overlong_cache.
  """
  shaped = jnp.asarray(rewards_PG, jnp.float32)
  correct_PG = shaped == 1 if correct_PG is None else correct_PG
  accuracy_P = advantage.group_accuracy(rewards_PG, valid_PG, correct_PG)
  if options.long2short:
    shaped = advantage.long2short(shaped, correct_PG & valid_PG, lengths_PG, options.long2short)
  if options.overlong_cache:
    shaped += penalty.overlong(lengths_PG, options.overlong_cache, limit)
  advantages_PG = advantage.group_advantages(shaped, normalise=options.normalise, valid_PG=valid_PG)
  weight_P = mgpo.entropy_deviation_weight(accuracy_P, options.strength, options.target)
  if options.relative_weight:
    has_P = (advantages_PG != 0).any(axis=1)
    weight_P /= jnp.where(has_P.any(), jnp.sum(weight_P * has_P) / jnp.maximum(jnp.sum(has_P), 1), 1.0)
  return advantages_PG * weight_P[:, None], accuracy_P, weight_P


@jax.jit
def spread(advantages_PG, responses_BL, mask_BL):
  """[B, L]: the advantage of the response that each response token of a packed batch belongs to; 0 elsewhere."""
  return advantages_PG.reshape(-1)[responses_BL] * mask_BL


def mgpo_loss(
  config: ModelConfig,
  params,
  batch: dict,
  *,
  options: LossOptions,
  execution: Execution = Execution(),
  chunk: int = 0,
  limit: int = 0,
):
  """Minus the objective of a packed batch (rl.batch.rl_batches) with its groups' rewards.

  Args:
    batch: the packed arrays, and [R, L] float32: advantages (0 on padding); policy_logps, if the trainer computed them
      before the update (needed where options.corrects(); they then are the ratio's denominator in place of the
      sampler's); reference_logps, with options.kl. entropy_weight, a scalar, where options.rewards_entropy().
    limit: tokens that a response may have, with aggregation 'constant'.

  Returns:
    (sum, count, metric sums): 'token_mean' counts tokens, the others responses. The metric logp_gap is the mean
    |trainer - sampler| log-probability: 0 but for rounding on the first update of a batch.

  Raises:
    ValueError: unknown aggregation, or 'constant' without limit.
  """
  weights_BL, by_token, count = _aggregation(batch, options.aggregation, limit)
  logp_BL, entropy_BL = train_loss.token_scores(config, params, batch, execution, chunk)
  mask_BL = batch['mask'].astype(jnp.float32)
  # The inputs are masked, not the results: off the responses exp may overflow, and inf * 0 is NaN in the gradient.
  on = lambda x: jnp.where(mask_BL > 0, x, 0.0)
  logp_names = [name for name in batch if name.endswith('_logps')]
  batch = batch | {name: on(batch[name]) for name in logp_names}
  logp_BL, entropy_BL = on(logp_BL), on(entropy_BL)
  objective_BL, more = _objective(logp_BL, entropy_BL, batch, options)
  gap_BL = jnp.abs(logp_BL - batch['behaviour_logps'])
  loss = -jnp.sum(objective_BL * weights_BL)
  metrics = {'entropy': entropy_BL, **more, 'logp_gap': gap_BL}
  return loss, count, {'loss': loss} | {name: jnp.sum(x * by_token) for name, x in metrics.items()}


def _aggregation(batch: dict, aggregation: str, limit: int):
  """(weights_BL of the objective, weights_BL of the metrics, their count)."""
  if aggregation == 'constant' and limit > 0:
    by_token = batch['token_weights']
    return batch['mask'].astype(jnp.float32) / limit, by_token, jnp.sum(by_token)
  if aggregation not in AGGREGATIONS[:2]:
    raise ValueError(f"aggregation={aggregation!r}: choose 'sequence_mean', 'token_mean', or 'constant' with a limit")
  by_token = batch['token_weights'] if aggregation == 'sequence_mean' else batch['mask'].astype(jnp.float32)
  return by_token, by_token, jnp.sum(by_token)


def _objective(logp_BL, entropy_BL, batch: dict, options: LossOptions):
  """(what each token adds to the objective, {metric: value of each token}); all inputs are 0 off the responses."""
  behaviour_BL = batch.get('policy_logps', batch['behaviour_logps'])
  if options.ratio == 'sequence':
    ratio_BL = ratio.sequence_ratio(logp_BL, behaviour_BL, batch['token_weights'], batch['segment_ids'])
  else:
    ratio_BL = ratio.token_ratio(logp_BL, behaviour_BL)
  clip = ratio_BL, batch['advantages'], options.clip_low, options.clip_high
  cispo = options.objective == 'cispo'
  objective_BL, clipped_BL = ratio.clipped_weight(logp_BL, *clip) if cispo else mgpo.clipped(*clip)
  metrics = {'ratio': ratio_BL, 'clip_fraction': clipped_BL}
  if options.corrects():
    trust_BL, outside_BL = ratio.trust(
      batch['policy_logps'], batch['behaviour_logps'], options.importance_cap, options.importance_band
    )
    objective_BL *= trust_BL
    metrics |= {'outside_band': outside_BL} if options.importance_band else {}
  if options.kl:
    kl_BL = penalty.kl(options.kl_estimate, logp_BL, batch['reference_logps'], behaviour_BL)
    objective_BL -= options.kl * kl_BL
    metrics['kl'] = kl_BL
  if options.rewards_entropy():
    objective_BL += batch['entropy_weight'] * entropy_BL
  return objective_BL, metrics
