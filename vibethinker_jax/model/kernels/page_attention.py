"""Attention of one new token per slot over a paged cache: a Pallas kernel for TPU, JAX's own for GPU, plain XLA
elsewhere.

All take the layout of sampler.pages: pools [F, K, page, h], scales [F, K, page], a table [B, M] of pages per slot.
"""

import functools

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas.ops.gpu.paged_attention import paged_attention as gpu_kernel
import jax.numpy as jnp

from vibethinker_jax.sharding import platform

MASKED = -1e30
SUBLANES, LANES = 8, 128
GPU_SPLITS = 16  # parts of a table that the GPU kernel works on at the same time


def page_attention(q_BHh, new, layer, table_BM, place):
  """Writes each slot's newest key and value into its page, then softmax(q k / sqrt(h)) v over all its tokens, on the
  platform's kernel.

  Args:
    new: (k, v [B, K, h]); with an int8 cache quantised, and then the scales [B, K] of both.
    layer: the pools, as `new` k, v, and scales.
    place: (page_B, offset_B: where to write; lengths_B: int32, tokens with the newest; work: of `work_list`).

  Returns:
    (o_BHh in the dtype of q, the updated layer).
  """
  kernel = {'tpu': tpu, 'gpu': gpu}.get(platform(), xla)
  return kernel(q_BHh, new, layer, table_BM, place)


def written(layer, new, page_B, offset_B):
  """The pools with one token more per slot."""
  return tuple(pool.at[page_B, :, offset_B].set(x) for pool, x in zip(layer, new))


def work_list(table_BM, lengths_B, page: int):
  """What the TPU kernel does one after another: (slot, page, place of the page in its slot; int32 [B * M], how
  many)."""
  B, M = table_BM.shape
  pages_B = -(-lengths_B // page)
  ends_B = jnp.cumsum(pages_B)
  t = jnp.arange(B * M, dtype=jnp.int32)
  slot = jnp.minimum(jnp.sum(ends_B[None, :] <= t[:, None], axis=1), B - 1).astype(jnp.int32)
  m = jnp.clip(t - (ends_B - pages_B)[slot], 0, M - 1).astype(jnp.int32)
  return slot, table_BM[slot, m], m, ends_B[-1]


def xla(q_BHh, new, layer, table_BM, place):
  """Any device: one page of all slots at a time with a running softmax, up to the longest slot."""
  page_B, offset_B, lengths_B, _ = place
  layer = written(layer, new, page_B, offset_B)
  _, K, page, h = layer[0].shape
  B, H, _ = q_BHh.shape
  q_BKGh = (q_BHh * h**-0.5).reshape(B, K, H // K, h)

  def one(m, carry):
    o, top, total = carry
    ids_B = jax.lax.dynamic_index_in_dim(table_BM, m, 1, keepdims=False)
    k, v = (pool[ids_B].astype(q_BHh.dtype) for pool in layer[:2])
    scores = jnp.einsum('BKGh,BKSh->BKGS', q_BKGh, k, preferred_element_type=jnp.float32)
    if len(layer) == 4:
      scores *= layer[2][ids_B][:, :, None]
    on = m * page + jnp.arange(page) < lengths_B[:, None]
    scores = jnp.where(on[:, None, None], scores, MASKED)
    new_top = jnp.maximum(top, jnp.max(scores, -1))
    p, shrink = jnp.exp(scores - new_top[..., None]), jnp.exp(top - new_top)
    total = total * shrink + jnp.sum(p, -1)
    p = p * layer[3][ids_B][:, :, None] if len(layer) == 4 else p
    o = o * shrink[..., None] + jnp.einsum('BKGS,BKSh->BKGh', p.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return o, new_top, total

  zeros = jnp.zeros(q_BKGh.shape[:3], jnp.float32)
  start = (jnp.zeros(q_BKGh.shape, jnp.float32), zeros + MASKED, zeros)
  o, _, total = jax.lax.fori_loop(0, jnp.max(-(-lengths_B // page)), one, start)
  return (o / total[..., None]).reshape(B, H, h).astype(q_BHh.dtype), layer


def gpu(q_BHh, new, layer, table_BM, place, interpret: bool = False):
  """JAX's Pallas-Triton kernel, to which every key/value head of a slot is a sequence of its own: its pools have the
  heads in front, and to move them there would copy the cache."""
  page_B, offset_B, lengths_B, _ = place
  layer = written(layer, new, page_B, offset_B)
  F, K, page, h = layer[0].shape
  B, H, _ = q_BHh.shape
  table = (table_BM[:, None] * K + jnp.arange(K)[None, :, None]).reshape(B * K, -1)
  pad = -table.shape[1] % GPU_SPLITS
  per_split = (table.shape[1] + pad) // GPU_SPLITS
  o = gpu_kernel(
    (q_BHh * h**-0.5).reshape(B * K, H // K, h),
    *(x.reshape(1, F * K, page, h) for x in layer[:2]),
    jnp.pad(table, ((0, 0), (0, pad))),
    jnp.repeat(lengths_B.astype(jnp.int32), K),
    *(x.reshape(1, F * K, page) for x in layer[2:]),
    k_splits=GPU_SPLITS,
    pages_per_compute_block=2 - per_split % 2,
    interpret=interpret,
  )
  return o.reshape(B, H, h), layer


def tpu(q_BHh, new, layer, table_BM, place, interpret: bool = False):
  """Ragged: one grid step per live page, none for what a slot does not use; pages are fetched ahead by the pipeline.

  The newest token is put into its page on the way (XLA's scatter into a pool would copy the pool): of that page only
  the tile of 8, 16 or 32 tokens around it is written back. On v5e a page of 512 tokens (bfloat16, K=2, h=128) takes
  0.64 us to fetch and less to compute.
  """
  page_B, _, lengths_B, (slot, pages, m, count) = place
  _, K, page, h = layer[0].shape
  B, H, _ = q_BHh.shape
  G = H // K
  rows, tile = -(-G // SUBLANES) * SUBLANES, min(page, SUBLANES * 4 // layer[0].dtype.itemsize)
  q = jnp.pad((q_BHh * h**-0.5).astype(q_BHh.dtype).reshape(B, K, G, h), ((0, 0), (0, 0), (0, rows - G), (0, 0)))
  new = [x.reshape(B, K, 1, -1) for x in new]
  of_slot = lambda *block: pl.BlockSpec((1, K, *block), lambda t, slot, *_: (slot[t], 0, 0, 0))
  of_page = pl.BlockSpec((1, K, page, h), lambda t, slot, pages, *_: (pages[t], 0, 0, 0))
  scale = pl.BlockSpec((1, K, page), lambda t, slot, pages, *_: (pages[t], 0, 0))

  newest = pl.BlockSpec(
    (1, K, tile, h),
    lambda t, slot, pages, m, lengths, last: (last[slot[t]], 0, (lengths[slot[t]] - 1) % page // tile, 0),
  )
  new_scale = pl.BlockSpec((1, K, page), lambda t, slot, pages, m, lengths, last: (last[slot[t]], 0, 0))
  pools, prefetched = len(layer), 5
  o, *layer = pl.pallas_call(
    functools.partial(_tpu_kernel, pools=pools),
    interpret=interpret,
    name='page_attention',
    out_shape=[jax.ShapeDtypeStruct(q.shape, q.dtype)] + [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in layer],
    grid_spec=pltpu.PrefetchScalarGridSpec(
      num_scalar_prefetch=prefetched,
      grid=(count,),
      in_specs=[of_slot(rows, h)] + [of_slot(1, x.shape[3]) for x in new] + [of_page] * 2 + [scale] * (pools - 2),
      out_specs=[of_slot(rows, h)] + [newest] * 2 + [new_scale] * (pools - 2),
      scratch_shapes=[pltpu.VMEM((K, rows, LANES), jnp.float32)] * 2 + [pltpu.VMEM((K, rows, h), jnp.float32)],
    ),
    input_output_aliases={prefetched + 1 + pools + i: 1 + i for i in range(pools)},
    compiler_params=pltpu.CompilerParams(dimension_semantics=('arbitrary',)),
  )(slot, pages, m, lengths_B, page_B, q, *new, *layer)
  return o[:, :, :G].reshape(B, H, h), tuple(layer)


def _tpu_kernel(slot, pages, ms, lengths, last, q, *refs, pools: int):
  news, (k, v, *scales) = refs[:pools], refs[pools : 2 * pools]
  o, k_out, v_out, *scales_out = refs[2 * pools : 3 * pools + 1]
  top, total, acc = refs[-3:]
  page, tile = k.shape[2], k_out.shape[2]
  t = pl.program_id(0)
  m, n = ms[t], lengths[slot[t]]
  at = n - 1 - m * page  # where the newest token is in this page; beyond it in all but the last

  @pl.when(m == 0)
  def _():
    top[...] = jnp.full_like(top, MASKED)
    total[...] = jnp.zeros_like(total)
    acc[...] = jnp.zeros_like(acc)

  here_S = jax.lax.broadcasted_iota(jnp.int32, (1, page), 1)
  here_T = jax.lax.broadcasted_iota(jnp.int32, (page, 1), 0)
  for i in range(k.shape[1]):
    keys, values = (jnp.where(here_T == at, new[0, i], pool[0, i]).astype(q.dtype) for new, pool in zip(news, (k, v)))
    scale = [jnp.where(here_S == at, new[0, i], pool[0, i : i + 1]) for new, pool in zip(news[2:], scales)]
    scores = jax.lax.dot_general(q[0, i], keys, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32)
    scores = scores * scale[0] if scale else scores
    scores = jnp.where(here_S <= at, scores, MASKED)
    before = top[i]
    now = jnp.maximum(before, jnp.max(scores, -1, keepdims=True))
    p, shrink = jnp.exp(scores - now[:, :1]), jnp.exp(before - now)
    total[i] = shrink * total[i] + jnp.sum(p, -1, keepdims=True)
    top[i] = now
    p = p * scale[1] if scale else p
    acc[i] = shrink[:, :1] * acc[i] + jax.lax.dot_general(
      p.astype(q.dtype), values, (((1,), (0,)), ((), ())), preferred_element_type=jnp.float32
    )

  @pl.when(at < page)
  def _():
    o[0] = (acc[...] / total[...][:, :, :1]).astype(o.dtype)
    start = pl.multiple_of(at // tile * tile, tile)
    mine = jax.lax.broadcasted_iota(jnp.int32, (tile, 1), 0) == at - start
    for out, pool, new in zip((k_out, v_out), (k, v), news):
      for i in range(k.shape[1]):
        out[0, i] = jnp.where(mine, new[0, i], pool[0, i, pl.ds(start, tile), :])
    for out, pool, new in zip(scales_out, scales, news[2:]):
      for i in range(k.shape[1]):
        out[0, i : i + 1] = jnp.where(here_S == at, new[0, i], pool[0, i : i + 1])
