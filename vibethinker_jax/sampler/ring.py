"""The key/value cache of the decode loop: a ring of columns that all slots write at the same place.

Every slot writes its current token at column `column mod S`, so a write is one contiguous update for the whole batch,
whatever the slots' own lengths are; a slot with n tokens so far reads the last n columns. Keys are [B, K, h, S] and
values [B, K, S, h]: both products then run along contiguous memory (on CPU half the time of [B, K, h, S] for both).

Every step reads all columns. Where that takes long, the ring starts short and grows with the responses.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vibethinker_jax.model.config import ModelConfig

MASKED = -1e30
COLUMNS = (3, 2)  # where the columns are, in keys and in values
LARGE = 2**26  # bytes; reading a smaller ring takes a small part of a step


class Ring(NamedTuple):
  """layers: (k [B, K, h, S], v [B, K, S, h]) of each; column_D: int32, the column that a device's next step writes."""

  layers: Any
  column_D: jax.Array


def empty(config: ModelConfig, devices: int, slots: int, columns: int, dtype) -> Ring:
  """For `slots` of all devices."""
  K, h = config.num_key_value_heads, config.head_dim
  layers = tuple(
    (jnp.zeros((slots, K, h, columns), dtype), jnp.zeros((slots, K, columns, h), dtype))
    for _ in range(config.num_hidden_layers)
  )
  return Ring(layers, jnp.zeros(devices, jnp.int32))


def widths(config: ModelConfig, slots: int, columns: int, dtype) -> tuple[int, ...]:
  """The columns that a ring for `slots` of one device may have, ascending: quarters of `columns` if it is large."""
  size = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * slots * columns
  if size * jnp.dtype(dtype).itemsize < LARGE:
    return (columns,)
  part = -(-columns // 64) * 16
  return (*range(part, columns, part), columns)


def fits(cache: Ring, length, alive_B):
  """Every slot has room for the longest response."""
  return True


def reserve(cache: Ring, lengths_B, alive_B, made_B):
  return cache, alive_B


def release(cache: Ring, ended_B, lengths_B) -> Ring:
  return cache


def place(cache: Ring, lengths_B, alive_B):
  """Where a step writes and what it reads, the same in all layers: (column, mask_BS)."""
  column, S = cache.column_D[0], cache.layers[0][0].shape[3]
  age_S = (column - jnp.arange(S)) % S
  return column, age_S[None, :] < lengths_B[:, None]


def attend(q_BHh, k_BKh, v_BKh, layer, cache: Ring, place):
  """Writes this token's key and value at the column, then attends to the slot's last columns (this one included).

  Returns:
    (o_BHh, updated (k, v)).
  """
  column, mask_BS = place
  k_BKhS, v_BKSh = (
    jax.lax.dynamic_update_slice_in_dim(cache, jnp.expand_dims(new, axis).astype(cache.dtype), column, axis)
    for cache, new, axis in zip(layer, (k_BKh, v_BKh), COLUMNS)
  )
  B, H, h = q_BHh.shape
  K = k_BKhS.shape[1]
  q_BKGh = (q_BHh * h**-0.5).reshape(B, K, H // K, h)
  scores = jnp.einsum('BKGh,BKhS->BKGS', q_BKGh, k_BKhS, preferred_element_type=jnp.float32)
  probs = jax.nn.softmax(jnp.where(mask_BS[:, None, None], scores, MASKED), axis=-1).astype(v_BKSh.dtype)
  o = jnp.einsum('BKGS,BKSh->BKGh', probs, v_BKSh, preferred_element_type=jnp.float32)
  return o.reshape(B, H, h).astype(q_BHh.dtype), (k_BKhS, v_BKSh)


def as_prompts(k_NPLKh, v_NPLKh):
  """Prefilled prompts, right-aligned: per layer (k [P, K, h, L], v [P, K, L, h])."""
  return tuple((k.transpose(0, 2, 3, 1), v.transpose(0, 2, 1, 3)) for k, v in zip(k_NPLKh, v_NPLKh))


def insert(cache: Ring, prompts, row, slot, length) -> Ring:
  """The cache with one prefilled prompt in one slot; the last column of a prompt is its newest token."""

  def one(into, prompt, axis):
    new = jax.lax.dynamic_index_in_dim(prompt, row, 0, keepdims=True).astype(into.dtype)
    missing = into.shape[axis] - prompt.shape[axis]
    new = jnp.pad(new, [(missing if a == axis else 0, 0) for a in range(4)])
    return jax.lax.dynamic_update_slice_in_dim(into, jnp.roll(new, cache.column_D[0], axis), slot, 0)

  layers = tuple(
    tuple(one(*args) for args in zip(layer, prompt, COLUMNS)) for layer, prompt in zip(cache.layers, prompts)
  )
  return cache._replace(layers=layers)


def take(cache: Ring, index_B, columns: int) -> Ring:
  """Of the slots at index_B, with so many columns: the newest, and in front of them what no slot reads."""
  if columns == cache.layers[0][0].shape[3]:
    return cache._replace(layers=jax.tree.map(lambda x: x[index_B], cache.layers))
  newest_last = jnp.mod(cache.column_D[0] - columns + jnp.arange(columns), cache.layers[0][0].shape[3])
  layers = tuple(
    tuple(jnp.take(x[index_B], newest_last, axis=axis) for x, axis in zip(layer, COLUMNS)) for layer in cache.layers
  )
  return Ring(layers, jnp.zeros_like(cache.column_D))


def advance(cache: Ring) -> Ring:
  """After a step: the next column."""
  return cache._replace(column_D=(cache.column_D + 1) % cache.layers[0][0].shape[3])
