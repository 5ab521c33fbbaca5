"""Attention of one new token per slot over a paged cache: a Pallas kernel for TPU, JAX's own for GPU, plain XLA elsewhere.

All take the layout of sampler.pages: pools [K, F, page, h], scales [F, K, page], a table [B, M] of pages per slot.
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


def page_attention(q_BHh, layer, table_BM, lengths_B, work):
  """softmax(q k / sqrt(h)) v over each slot's first lengths_B tokens, on the platform's kernel.

  Args:
    layer: (k, v [K, F, page, h]), or int8 and then float32 scales [F, K, page] of both.
    lengths_B: int32, at least 1.
    work: of `work_list`.

  Returns:
    o_BHh in the dtype of q.
  """
  kernel = {'tpu': tpu, 'gpu': gpu}.get(platform(), xla)
  return kernel(q_BHh, layer, table_BM, lengths_B, work)


def work_list(table_BM, lengths_B, page: int):
  """What the TPU kernel does one after another: (slot, page, place of the page in its slot; int32 [B * M], how many).
  """
  B, M = table_BM.shape
  pages_B = -(-lengths_B // page)
  ends_B = jnp.cumsum(pages_B)
  t = jnp.arange(B * M, dtype=jnp.int32)
  slot = jnp.minimum(jnp.sum(ends_B[None, :] <= t[:, None], axis=1), B - 1).astype(jnp.int32)
  m = jnp.clip(t - (ends_B - pages_B)[slot], 0, M - 1).astype(jnp.int32)
  return slot, table_BM[slot, m], m, ends_B[-1]


def xla(q_BHh, layer, table_BM, lengths_B, work=None):
  """Any device: one page of all slots at a time with a running softmax, up to the longest slot."""
  K, _, page, h = layer[0].shape
  B, H, _ = q_BHh.shape
  q_BKGh = (q_BHh * h**-0.5).reshape(B, K, H // K, h)

  def one(m, carry):
    o, top, total = carry
    ids_B = jax.lax.dynamic_index_in_dim(table_BM, m, 1, keepdims=False)
    k, v = (pool[:, ids_B].astype(q_BHh.dtype) for pool in layer[:2])
    scores = jnp.einsum('BKGh,KBSh->BKGS', q_BKGh, k, preferred_element_type=jnp.float32)
    if len(layer) == 4:
      scores *= layer[2][ids_B][:, :, None]
    on = m * page + jnp.arange(page) < lengths_B[:, None]
    scores = jnp.where(on[:, None, None], scores, MASKED)
    new_top = jnp.maximum(top, jnp.max(scores, -1))
    p, shrink = jnp.exp(scores - new_top[..., None]), jnp.exp(top - new_top)
    total = total * shrink + jnp.sum(p, -1)
    p = p * layer[3][ids_B][:, :, None] if len(layer) == 4 else p
    new = jnp.einsum('BKGS,KBSh->BKGh', p.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return o * shrink[..., None] + new, new_top, total

  zeros = jnp.zeros(q_BKGh.shape[:3], jnp.float32)
  start = (jnp.zeros(q_BKGh.shape, jnp.float32), zeros + MASKED, zeros)
  o, _, total = jax.lax.fori_loop(0, jnp.max(-(-lengths_B // page)), one, start)
  return (o / total[..., None]).reshape(B, H, h).astype(q_BHh.dtype)


def gpu(q_BHh, layer, table_BM, lengths_B, work=None, interpret: bool = False):
  """JAX's Pallas-Triton kernel."""
  pad = -table_BM.shape[1] % GPU_SPLITS
  per_split = (table_BM.shape[1] + pad) // GPU_SPLITS
  table_BM = jnp.pad(table_BM, ((0, 0), (0, pad)))
  scales = [x.swapaxes(0, 1) for x in layer[2:]]
  return gpu_kernel(q_BHh * q_BHh.shape[-1]**-0.5, *layer[:2], table_BM, lengths_B.astype(jnp.int32), *scales,
                    k_splits=GPU_SPLITS, pages_per_compute_block=2 - per_split % 2, interpret=interpret)


def tpu(q_BHh, layer, table_BM, lengths_B, work, interpret: bool = False):
  """Ragged: one grid step per live page, none for what a slot does not use; pages are fetched ahead by the pipeline.

  On v5e a page of 512 tokens (bfloat16, K=2, h=128) takes 0.64 us to fetch and less to compute.
  """
  slot, pages, m, count = work
  K, _, page, h = layer[0].shape
  B, H, _ = q_BHh.shape
  G = H // K
  rows = -(-G // SUBLANES) * SUBLANES
  q = jnp.pad((q_BHh * h**-0.5).astype(q_BHh.dtype).reshape(B, K, G, h), ((0, 0), (0, 0), (0, rows - G), (0, 0)))
  of_slot = pl.BlockSpec((1, K, rows, h), lambda t, slot, *_: (slot[t], 0, 0, 0))
  of_page = pl.BlockSpec((K, 1, page, h), lambda t, slot, pages, *_: (0, pages[t], 0, 0))
  scale = pl.BlockSpec((1, K, page), lambda t, slot, pages, *_: (pages[t], 0, 0))
  o = pl.pallas_call(
      functools.partial(_tpu_kernel, page=page, int8=len(layer) == 4),
      out_shape=jax.ShapeDtypeStruct(q.shape, q.dtype), interpret=interpret,
      grid_spec=pltpu.PrefetchScalarGridSpec(
          num_scalar_prefetch=4, grid=(count,), in_specs=[of_slot] + [of_page] * 2 + [scale] * (len(layer) - 2),
          out_specs=of_slot, scratch_shapes=[pltpu.VMEM((K, rows, LANES), jnp.float32)] * 2 + [
              pltpu.VMEM((K, rows, h), jnp.float32)]),
      compiler_params=pltpu.CompilerParams(dimension_semantics=('arbitrary',)),
      name='page_attention')(slot, pages, m, lengths_B, q, *layer)
  return o[:, :, :G].reshape(B, H, h)


def _tpu_kernel(slot, pages, ms, lengths, q, *refs, page: int, int8: bool):
  k, v, *scales = refs[:4 if int8 else 2]
  o, top, total, acc = refs[-4:]
  t = pl.program_id(0)
  m, n = ms[t], lengths[slot[t]]

  @pl.when(m == 0)
  def _():
    top[...] = jnp.full_like(top, MASKED)
    total[...] = jnp.zeros_like(total)
    acc[...] = jnp.zeros_like(acc)

  on = m * page + jax.lax.broadcasted_iota(jnp.int32, (1, page), 1) < n
  for i in range(k.shape[0]):
    scores = jax.lax.dot_general(q[0, i], k[i, 0].astype(q.dtype), (((1,), (1,)), ((), ())),
                                 preferred_element_type=jnp.float32)
    scores = scores * scales[0][0, i:i + 1] if int8 else scores
    scores = jnp.where(on, scores, MASKED)
    before = top[i]
    now = jnp.maximum(before, jnp.max(scores, -1, keepdims=True))
    p, shrink = jnp.exp(scores - now[:, :1]), jnp.exp(before - now)
    total[i] = shrink * total[i] + jnp.sum(p, -1, keepdims=True)
    top[i] = now
    p = p * scales[1][0, i:i + 1] if int8 else p
    acc[i] = shrink[:, :1] * acc[i] + jax.lax.dot_general(
        p.astype(q.dtype), v[i, 0].astype(q.dtype), (((1,), (0,)), ((), ())), preferred_element_type=jnp.float32)

  @pl.when((m + 1) * page >= n)
  def _():
    o[0] = (acc[...] / total[...][:, :, :1]).astype(o.dtype)
