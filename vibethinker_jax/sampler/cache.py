"""The key/value cache of the decode loop: a ring of columns that all slots write at the same place.

Every slot writes its current token at column `column mod S`, so a write is one contiguous update for the whole batch,
whatever the slots' own lengths are; a slot with n tokens so far reads the last n columns. Keys are [B, K, h, S] and
values [B, K, S, h]: both products then run along contiguous memory (on CPU half the time of [B, K, h, S] for both).
"""

import jax
import jax.numpy as jnp

from vibethinker_jax.model.config import ModelConfig

MASKED = -1e30
AXES = (3, 2)  # where the columns are, in keys and in values


def empty(config: ModelConfig, batch: int, columns: int, dtype) -> tuple:
  """((k [B, K, h, S], v [B, K, S, h]) per layer)."""
  K, h = config.num_key_value_heads, config.head_dim
  return tuple((jnp.zeros((batch, K, h, columns), dtype), jnp.zeros((batch, K, columns, h), dtype))
               for _ in range(config.num_hidden_layers))


def attend(q_BHh, k_BKh, v_BKh, layer, column, lengths_B):
  """Writes this token's key and value at `column`, then attends to the last lengths_B columns (this one included).

  Returns:
    (o_BHh, updated (k, v)).
  """
  k_BKhS, v_BKSh = (
      jax.lax.dynamic_update_slice_in_dim(cache, jnp.expand_dims(new, axis).astype(cache.dtype), column, axis)
      for cache, new, axis in zip(layer, (k_BKh, v_BKh), AXES))
  B, H, h = q_BHh.shape
  K, S = k_BKhS.shape[1], k_BKhS.shape[3]
  q_BKGh = (q_BHh * h**-0.5).reshape(B, K, H // K, h)
  scores = jnp.einsum('BKGh,BKhS->BKGS', q_BKGh, k_BKhS, preferred_element_type=jnp.float32)
  age_S = (column - jnp.arange(S)) % S
  mask_BS = age_S[None, :] < lengths_B[:, None]
  probs = jax.nn.softmax(jnp.where(mask_BS[:, None, None], scores, MASKED), axis=-1).astype(v_BKSh.dtype)
  o = jnp.einsum('BKGS,BKSh->BKGh', probs, v_BKSh, preferred_element_type=jnp.float32)
  return o.reshape(B, H, h).astype(q_BHh.dtype), (k_BKhS, v_BKSh)


def insert(cache: tuple, prompts: tuple, row, slot, column) -> tuple:
  """The cache with one prefilled prompt in one slot.

  Args:
    prompts: ((k [P, K, h, l], v [P, K, l, h]) per layer), right-aligned: the last column is the newest token.
    row: which prompt. slot: where it goes. column: the column that the next step writes.
  """
  def one(cache, prompt, axis):
    new = jax.lax.dynamic_index_in_dim(prompt, row, 0, keepdims=True).astype(cache.dtype)
    missing = cache.shape[axis] - prompt.shape[axis]
    new = jnp.pad(new, [(missing if a == axis else 0, 0) for a in range(4)])
    return jax.lax.dynamic_update_slice_in_dim(cache, jnp.roll(new, column, axis), slot, 0)

  return tuple(tuple(one(*args) for args in zip(layer, prompt, AXES)) for layer, prompt in zip(cache, prompts))
