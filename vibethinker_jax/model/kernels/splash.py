"""Splash attention: JAX's own Pallas kernel for TPU, causal inside segments, linear in memory."""

import functools
import math

import jax
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_kernel as kernel,
  splash_attention_mask as masks,
)
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P
import numpy as np

from vibethinker_jax.sharding import BATCH, platform

# Queries and keys of a tile, as far as they divide the row: the compiler's schedule on v5e and v6e was best with these.
BLOCK_Q, BLOCK_KV, BLOCK_KV_COMPUTE = 512, 1024, 512
# The fused backward kernel writes a partial gradient of all queries for each of these: at 32K of 1024 they are 3.2 GB a
# layer and as much traffic again to add them up. Larger ones compute more above the diagonal (2048: 3% at 32K).
BLOCK_KV_BACKWARD = 2048
LANES = 128  # the kernel wants rows and head widths that are multiples of this


def splash_attention(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, name: str):
  """As attention.attention. Each device runs the kernel on its own rows, heads and (mesh axis `context`) queries; off
  TPU it is interpreted (tests).

  With `context` the keys and values of a row are gathered (with few key/value heads that is less to move than a ring),
  and each device gets one piece of queries from the beginning of the row and one from its end, so that all have the
  same work.

  Args:
    name: under which checkpoint policies find the output and the log-sum-exp (kept, the backward pass does not run the
      forward kernel again).
  """
  mesh = jax.sharding.get_abstract_mesh()
  interpret = platform() == 'cpu'
  if mesh.empty or mesh.size == 1:
    return _local(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, name=name, interpret=interpret)
  heads = 'tensor' if k_BLKh.shape[2] % mesh.shape['tensor'] == 0 else None
  if (count := mesh.shape['context']) == 1:
    rows = P(BATCH, None, heads, None)
    function = functools.partial(_local, name=name, interpret=interpret)
    return jax.shard_map(function, in_specs=(rows, rows, rows, P(BATCH, None)), out_specs=rows, check_vma=False)(
      q_BLHh, k_BLKh, v_BLKh, segment_ids_BL
    )

  L, rows = q_BLHh.shape[1], P(BATCH, 'context', heads, None)
  pad = -L % (2 * count * LANES)
  q, k, v = (jnp.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0))) for x in (q_BLHh, k_BLKh, v_BLKh))
  segments = jnp.pad(segment_ids_BL, ((0, 0), (0, pad)))
  run = _kernel(L + pad, q.shape[2] // k.shape[2], name, interpret, count)
  spec = run.manual_sharding_spec(NamedSharding(mesh, P(None, 'context')))
  return jax.shard_map(
    _in_context, in_specs=(spec, rows, rows, rows, P(BATCH, 'context')), out_specs=rows, check_vma=False
  )(run, q, k, v, segments)[:, :L]


def _in_context(run, q_BLHh, k_BLKh, v_BLKh, segments_BL):
  """The part of one device: its queries, exchanged so that all have the same work, against the keys of the whole
  row."""
  whole = lambda x: jax.lax.all_gather(x, 'context', axis=1, tiled=True)
  k, v, segments = whole(k_BLKh), whole(v_BLKh), whole(segments_BL)
  o = _attend(run, _balanced(q_BLHh), k, v, _balanced(segments_BL), segments)
  return _balanced(o, back=True)


def _balanced(x_BL, back: bool = False):
  """Exchanges the halves of the devices' positions: device c gets the pieces c and 2 C - 1 - c of 2 C, the even one
  first.

  A piece with an even number is the first half of what its device had, so that each half is one permutation of devices.
  """
  count = jax.lax.axis_size('context')
  owner = lambda piece: min(piece, 2 * count - 1 - piece)
  halves = jnp.split(x_BL, 2, axis=1)
  for half in (0, 1):
    pairs = [(c, owner(2 * c + half)) for c in range(count)]
    halves[half] = jax.lax.ppermute(halves[half], 'context', [pair[::-1] for pair in pairs] if back else pairs)
  return jnp.concatenate(halves, axis=1)


def _order(length: int, count: int) -> np.ndarray:
  """Positions in a row of the queries that the devices have after `_balanced`, one device after the other."""
  pieces = np.arange(length, dtype=np.int32).reshape(2 * count, -1)
  return pieces[[piece for c in range(count) for piece in sorted((c, 2 * count - 1 - c), key=lambda i: i % 2)]].reshape(
    -1
  )


def _local(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, *, name, interpret):
  """Whole rows on one device."""
  L = q_BLHh.shape[1]
  pad = -L % LANES
  q, k, v = (jnp.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0))) for x in (q_BLHh, k_BLKh, v_BLKh))
  segments = jnp.pad(segment_ids_BL, ((0, 0), (0, pad)))
  run = _kernel(L + pad, q.shape[2] // k.shape[2], name, interpret)
  return _attend(run, q, k, v, segments, segments)[:, :L]


def _attend(run, q_BLHh, k_BSKh, v_BSKh, q_segments_BL, k_segments_BS):
  B, L, H, h = q_BLHh.shape
  K, pad = k_BSKh.shape[2], -h % LANES
  q, k, v = (
    jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, pad))).transpose(0, 2, 1, 3) for x in (q_BLHh * h**-0.5, k_BSKh, v_BSKh)
  )
  q = q.reshape(B, K, H // K, L, h + pad)
  o = jax.vmap(jax.vmap(run, in_axes=(0, 0, 0, None)))(q, k, v, kernel.SegmentIds(q_segments_BL, k_segments_BS))
  return o.reshape(B, H, L, h + pad).transpose(0, 2, 1, 3)[..., :h]


def _kernel(length: int, group: int, name: str, interpret: bool, count: int = 1):
  """The kernel of one key/value head and its `group` query heads, whose queries may be on `count` devices."""
  kv, compute, backward = (math.gcd(length, block) for block in (BLOCK_KV, BLOCK_KV_COMPUTE, BLOCK_KV_BACKWARD))
  q = math.gcd(length // (2 * count if count > 1 else 1), BLOCK_Q)
  blocks = kernel.BlockSizes(
    block_q=q,
    block_kv=kv,
    block_kv_compute=compute,
    block_q_dkv=q,
    block_kv_dkv=backward,
    block_kv_dkv_compute=compute,
    use_fused_bwd_kernel=True,
  )
  causal = masks.CausalMask((length, length))
  if count > 1:
    causal.q_sequence = _order(length, count)
  return kernel.make_splash_mqa(
    masks.MultiHeadMask([causal] * group),
    block_sizes=blocks,
    head_shards=1,
    q_seq_shards=count,
    residual_checkpoint_name=name,
    interpret=interpret,
  )
