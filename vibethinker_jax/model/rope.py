"""Rotary position embedding, with the scalings that released checkpoints use."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from vibethinker_jax.model.config import ModelConfig


def rope_angles(config: ModelConfig, positions):
  """(sin, cos) of rotary embedding, float32, shape positions.shape + [h / 2]."""
  frequencies = config.rope_theta ** (-jnp.arange(0, config.head_dim, 2, dtype=jnp.float32) / config.head_dim)
  stretch_h, amplitude = scaling(config)
  if stretch_h is not None:
    frequencies = frequencies * stretch_h
  angles = positions[..., None].astype(jnp.float32) * frequencies
  # A loop's results are stored. XLA on CPU otherwise computes both functions again in every layer, for every head.
  sin_cos = jax.lax.map(lambda i: jnp.where(i == 0, jnp.sin(angles), jnp.cos(angles)), jnp.arange(2))
  return (sin_cos[0], sin_cos[1]) if amplitude == 1 else (amplitude * sin_cos[0], amplitude * sin_cos[1])


def scaling(config: ModelConfig):
  """(factor per frequency, float32 [h / 2] or None; factor of sin and cos), as transformers' modeling_rope_utils."""
  c, h = config.rope_scaling, config.head_dim
  if c is None:
    return None, 1.0
  if c.rope_type == 'linear':
    return np.full(h // 2, 1 / c.factor, np.float32), 1.0
  if c.rope_type == 'llama3':
    turns = c.original_max_position_embeddings * config.rope_theta ** (-np.arange(0, h, 2) / h) / (2 * math.pi)
    kept = np.clip((turns - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor), 0, 1)
    return ((1 - kept) / c.factor + kept).astype(np.float32), 1.0
  # YaRN: dimensions that turn more than beta_fast times in the old context stay, those under beta_slow are stretched.
  dimension = lambda turns: (
    h * math.log(c.original_max_position_embeddings / (turns * 2 * math.pi)) / (2 * math.log(config.rope_theta))
  )
  low, high = max(math.floor(dimension(c.beta_fast)), 0), min(math.ceil(dimension(c.beta_slow)), h - 1)
  kept = 1 - np.clip((np.arange(h // 2) - low) / max(high - low, 0.001), 0, 1)
  amplitude = c.attention_factor or (0.1 * math.log(c.factor) + 1 if c.factor > 1 else 1.0)
  return ((1 - kept) / c.factor + kept).astype(np.float32), amplitude


def rotate(x, rope):
  """Applies rotary embedding to [..., heads, h] (halves convention, as in Qwen2 and Llama checkpoints on the hub)."""
  sin, cos = (a[..., None, :] for a in rope)
  x1, x2 = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  return jnp.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], axis=-1).astype(x.dtype)
