"""The paged key/value cache: memory follows the tokens that exist.

Every layer has one pool of pages; a slot's table names the pages of its first `page` tokens, its second, and so on. A
slot takes a page from the stack of free ones when its tokens have filled the last, and returns all when its response
ends. Where none is left, the youngest response gives up its pages (it is started again later and, its draws being
functions of its own position, comes out the same). Page 0 is never given to anyone: idle slots write there.

Arrays of one device: F pages, M pages of the longest response.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.model.kernels.page_attention import page_attention, work_list
from vibethinker_jax.sharding import platform


class Pages(NamedTuple):
  """Attributes:
  layers: (k, v) of each, [F, K, page, h]; as int8 (k, v, k_scales, v_scales), the scales float32 [F, K, page].
  table_BM: int32, the page of each slot's m-th `page` tokens.
  free_F: int32, a stack of unused pages, of which the first count_D[0] are there.
  count_D: int32, one number per device.
  """

  layers: Any
  table_BM: jax.Array
  free_F: jax.Array
  count_D: jax.Array


def page_tokens(page: int) -> int:
  """Tokens of a page: as given, or what suits the platform's kernel (0)."""
  return page or (512 if platform() == 'tpu' else 64)


def empty(config: ModelConfig, devices: int, slots: int, columns: int, tokens: int, page: int, dtype) -> Pages:
  """Pools of all devices in which every page is free.

  Args:
    slots: of all devices. columns: tokens that a slot may need. dtype: 'int8', or a float type.
    tokens: that the cache of each device holds; 0: as many as its slots may need.
  """
  longest = -(-columns // page)
  count = 1 + (-(-tokens // page) if tokens else longest * (slots // devices))
  K, h = config.num_key_value_heads, config.head_dim
  pool = lambda: jnp.zeros((devices * count, K, page, h), dtype)
  scales = lambda: jnp.zeros((devices * count, K, page), jnp.float32)
  int8 = jnp.dtype(dtype) == jnp.int8
  layers = tuple(
    (pool(), pool(), scales(), scales()) if int8 else (pool(), pool()) for _ in range(config.num_hidden_layers)
  )
  stack = jnp.tile(jnp.arange(count, 0, -1, dtype=jnp.int32) % count, devices)  # its last entry, page 0, is not counted
  return Pages(
    layers,
    jnp.zeros((slots, longest), jnp.int32),
    jnp.roll(stack.reshape(devices, -1), -1, 1).reshape(-1),
    jnp.full(devices, count - 1, jnp.int32),
  )


def _page(cache: Pages) -> int:
  return cache.layers[0][0].shape[2]


def fits(cache: Pages, length, alive_B):
  """Whether a prompt of `length` tokens may come in: with a page to spare for every live slot, so that few have to go
  again."""
  return cache.count_D[0] >= -(-length // _page(cache)) + jnp.sum(alive_B)


def reserve(cache: Pages, lengths_B, alive_B, made_B):
  """A page for every live slot whose next token, the lengths_B-th, starts one; responses that are `made_B` tokens long
  give way, the shortest first, while there are too few.

  Returns:
    (cache, which slots are still alive).
  """
  page = _page(cache)
  starts_B = (lengths_B - 1) % page == 0

  def short(carry):
    cache, alive = carry
    return jnp.sum(starts_B & alive) > cache.count_D[0]

  def give_way(carry):
    cache, alive = carry
    loser = jnp.arange(alive.shape[0]) == jnp.argmin(jnp.where(alive, made_B, jnp.iinfo(jnp.int32).max))
    return _release(cache, loser & alive, lengths_B - 1), alive & ~loser

  cache, alive_B = jax.lax.while_loop(short, give_way, (cache, alive_B))
  starts_B &= alive_B
  rank_B = jnp.cumsum(starts_B)
  ids_B = cache.free_F[jnp.clip(cache.count_D[0] - rank_B, 0)]
  rows_B, m_B = jnp.arange(lengths_B.shape[0]), (lengths_B - 1) // page
  table_BM = cache.table_BM.at[rows_B, jnp.where(starts_B, m_B, cache.table_BM.shape[1])].set(ids_B, mode='drop')
  return cache._replace(table_BM=table_BM, count_D=cache.count_D - rank_B[-1]), alive_B


def release(cache: Pages, ended_B, lengths_B) -> Pages:
  """Takes back the pages of slots that ended with lengths_B tokens in the cache."""
  return jax.lax.cond(jnp.any(ended_B), _release, lambda cache, *_: cache, cache, ended_B, lengths_B)


def _release(cache: Pages, ended_B, lengths_B) -> Pages:
  used_B = -(-lengths_B // _page(cache))
  back_BM = ended_B[:, None] & (jnp.arange(cache.table_BM.shape[1]) < used_B[:, None])
  rank = jnp.cumsum(back_BM.reshape(-1))
  at = jnp.where(back_BM.reshape(-1), cache.count_D[0] + rank - 1, cache.free_F.shape[0])
  return cache._replace(
    free_F=cache.free_F.at[at].set(cache.table_BM.reshape(-1), mode='drop'), count_D=cache.count_D + rank[-1]
  )


def place(cache: Pages, lengths_B, alive_B):
  """Where a step writes and what it reads, the same in all layers: (page, offset, lengths, work list of the kernel)."""
  page = _page(cache)
  rows = jnp.arange(lengths_B.shape[0])
  page_B = jnp.where(alive_B, cache.table_BM[rows, (lengths_B - 1) // page], 0)
  lengths_B = jnp.where(alive_B, lengths_B, 1)
  return page_B, (lengths_B - 1) % page, lengths_B, work_list(cache.table_BM, lengths_B, page)


def attend(q_BHh, k_BKh, v_BKh, layer, cache: Pages, place):
  """Writes this token's key and value into its page, then attends to the slot's tokens, this one included.

  Returns:
    (o_BHh, the updated layer).
  """
  new = quantised(k_BKh, v_BKh) if len(layer) == 4 else (k_BKh.astype(layer[0].dtype), v_BKh.astype(layer[1].dtype))
  return page_attention(q_BHh, new, layer, cache.table_BM, place)


def quantised(k, v):
  """int8 with one float32 scale per token and head, the largest magnitude over h being 127: (k, v, scales of both)."""
  scale = lambda x: jnp.maximum(jnp.max(jnp.abs(x.astype(jnp.float32)), axis=-1), 1e-12) / 127
  whole = lambda x, s: jnp.round(x.astype(jnp.float32) / s[..., None]).astype(jnp.int8)
  k_scale, v_scale = scale(k), scale(v)
  return whole(k, k_scale), whole(v, v_scale), k_scale, v_scale


def as_prompts(k_NPLKh, v_NPLKh, page: int, int8: bool):
  """Prefilled prompts, left-aligned: per layer (k, v [P, L/page, K, page, h]), for int8 with scales [P, L/page, K,
  page]."""
  pad = -k_NPLKh.shape[2] % page

  def one(x_PLKh):
    x = jnp.pad(x_PLKh, ((0, 0), (0, pad), (0, 0), (0, 0)))
    return x.reshape(x.shape[0], -1, page, *x.shape[2:]).swapaxes(2, 3)

  split = lambda k, v: (one(k), one(v))
  return tuple(quantised(*split(k, v)) if int8 else split(k, v) for k, v in zip(k_NPLKh, v_NPLKh))


def insert(cache: Pages, prompts, row, slot, length) -> Pages:
  """The cache with one prefilled prompt of `length` tokens (its last is not prefilled: the next step feeds it) in pages
  of its own, which `slot` now has."""
  page = _page(cache)
  count = -(-(length - 1) // page)
  m = jnp.arange(min(prompts[0][0].shape[1], cache.table_BM.shape[1]))
  ids = jnp.where(m < count, cache.free_F[jnp.clip(cache.count_D[0] - 1 - m, 0)], 0)

  def put(pool, prompt):
    chunks = jax.lax.dynamic_index_in_dim(prompt, row, 0, keepdims=False).astype(pool.dtype)
    for i in range(len(m)):
      pool = jax.lax.dynamic_update_slice_in_dim(pool, chunks[i : i + 1], ids[i], 0)
    return pool

  layers = tuple(tuple(put(*one) for one in zip(*both)) for both in zip(cache.layers, prompts))
  table = jax.lax.dynamic_update_slice(cache.table_BM, ids[None], (slot, 0))
  return cache._replace(layers=layers, table_BM=table, count_D=cache.count_D - count)


def take(cache: Pages, index_B, columns: int) -> Pages:
  """Of fewer slots: those at index_B. `columns` is for a ring."""
  return cache._replace(table_BM=cache.table_BM[index_B])


def advance(cache: Pages) -> Pages:
  return cache
