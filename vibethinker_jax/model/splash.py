"""Splash attention: JAX's own Pallas kernel for TPU, causal inside segments, linear in memory."""

import functools
import math

import jax
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernel
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from vibethinker_jax.sharding import BATCH, platform

# Queries and keys of a tile, as far as they divide the row: the compiler's schedule on v5e and v6e was best with these.
BLOCK_Q, BLOCK_KV, BLOCK_KV_COMPUTE = 512, 1024, 512
# The fused backward kernel writes a partial gradient of all queries for each of these: at 32K of 1024 they are 3.2 GB a
# layer and as much traffic again to add them up. Larger ones compute more above the diagonal (2048: 3% at 32K).
BLOCK_KV_BACKWARD = 2048
LANES = 128  # the kernel wants rows and head widths that are multiples of this


def splash_attention(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, name: str):
  """As attention.attention. Each device runs the kernel on its own rows and heads; off TPU it is interpreted (tests).

  Args:
    name: under which checkpoint policies find the output and the log-sum-exp (kept, the backward pass does not run the
      forward kernel again).

  Raises:
    ValueError: rows that are split over the mesh axis `context`.
  """
  mesh = jax.sharding.get_abstract_mesh()
  function = functools.partial(_local, name=name, interpret=platform() == 'cpu')
  if mesh.empty or mesh.size == 1:
    return function(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL)
  if mesh.shape['context'] > 1:
    raise ValueError(f"attention 'splash' cannot split rows over {mesh.shape['context']} devices (mesh.context): "
                     "use 'xla', or mesh.context=1")
  heads = 'tensor' if k_BLKh.shape[2] % mesh.shape['tensor'] == 0 else None
  rows = P(BATCH, None, heads, None)
  return jax.shard_map(function, in_specs=(rows, rows, rows, P(BATCH, None)), out_specs=rows, check_vma=False)(
      q_BLHh, k_BLKh, v_BLKh, segment_ids_BL)


def _local(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, *, name, interpret):
  B, L, H, h = q_BLHh.shape
  K = k_BLKh.shape[2]
  pad_L, pad_h = -L % LANES, -h % LANES
  pad = lambda x: jnp.pad(x, ((0, 0), (0, pad_L), (0, 0), (0, pad_h)))
  q, k, v = (pad(x).transpose(0, 2, 1, 3) for x in (q_BLHh * h**-0.5, k_BLKh, v_BLKh))
  segments = jnp.pad(segment_ids_BL, ((0, 0), (0, pad_L)))
  q = q.reshape(B, K, H // K, L + pad_L, h + pad_h)
  run = _kernel(L + pad_L, H // K, name, interpret)
  o = jax.vmap(jax.vmap(run, in_axes=(0, 0, 0, None)))(q, k, v, kernel.SegmentIds(segments, segments))
  return o.reshape(B, H, L + pad_L, h + pad_h).transpose(0, 2, 1, 3)[:, :L, :, :h]


def _kernel(length: int, group: int, name: str, interpret: bool):
  """The kernel of one key/value head and its `group` query heads."""
  q, kv, compute, backward = (math.gcd(length, block)
                            for block in (BLOCK_Q, BLOCK_KV, BLOCK_KV_COMPUTE, BLOCK_KV_BACKWARD))
  blocks = kernel.BlockSizes(
      block_q=q, block_kv=kv, block_kv_compute=compute, block_q_dkv=q, block_kv_dkv=backward, block_kv_dkv_compute=compute,
      use_fused_bwd_kernel=True)
  mask = masks.MultiHeadMask([masks.CausalMask((length, length))] * group)
  return kernel.make_splash_mqa_single_device(mask, block_sizes=blocks, residual_checkpoint_name=name, interpret=interpret)
