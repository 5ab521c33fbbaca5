"""Losses as (sum, count, metrics): divided once, after accumulation and across devices."""

import jax.numpy as jnp

from vibethinker_jax import sharding
from vibethinker_jax.model import score, transformer
from vibethinker_jax.model.config import ModelConfig, compute_dtype
from vibethinker_jax.model.transformer import Execution


def token_scores(config: ModelConfig, params, batch: dict, execution: Execution = Execution(), chunk: int = 0):
  """(logp_BL, entropy_BL) of `batch['targets']` in a packed batch (data.loader.sft_batches, rl.batch.rl_batches)."""
  tied, table = config.tie_word_embeddings, params['embedding'].astype(compute_dtype())
  table = sharding.copies(table) if tied else table
  packing = transformer.Packing(batch['positions'], batch['segment_ids'], batch.get('prefix'))
  x_BLD = transformer.hidden(config, params, batch['tokens'], packing, execution, table=table)
  head = table if tied else params['head'].astype(compute_dtype())
  return score.token_scores(x_BLD, head, batch['targets'], chunk, tied)


def sft(config: ModelConfig, params, batch: dict, *, execution: Execution = Execution(), chunk: int = 0):
  """Token cross-entropy on the response tokens (VibeThinker-1.5B §3.3).

  Returns:
    (sum of the loss in nats, number of response tokens, {metric: sum over response tokens}).
  """
  logp_BL, entropy_BL = token_scores(config, params, batch, execution, chunk)
  mask_BL = batch['mask'].astype(jnp.float32)
  total = -jnp.sum(logp_BL * mask_BL)
  return total, jnp.sum(mask_BL), {'loss': total, 'entropy': jnp.sum(entropy_BL * mask_BL)}
