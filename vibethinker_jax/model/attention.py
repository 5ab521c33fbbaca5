"""Attention by name, one signature for training, scoring and prefill.

`xla` is the reference and runs on any device: exact softmax attention. Short rows are cut into a few blocks of queries
that read only the keys up to their own end (half of the work, causally); long ones are chunked over queries so that
memory grows linearly with the sequence (each chunk's scores are computed again in the backward pass).
"""

import jax
import jax.numpy as jnp

QUERY_CHUNK = 512
BLOCKS = 8  # of a short row: on CPU a step of 32 x 256 tokens takes 0.6 of the time that whole rows take
MASKED = -1e30  # not -inf: a row that is all masked (padding) must stay finite


def attention(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, implementation: str = 'xla', query_chunk: int = QUERY_CHUNK):
  """Causal attention inside segments.

  Args:
    q_BLHh: queries, already rotated and not yet scaled.
    k_BLKh, v_BLKh: keys and values; H is a multiple of K (grouped queries).
    segment_ids_BL: int32; positions attend to earlier positions of the same segment. Packed documents have
      different ids; 0 marks padding.
    implementation: 'xla'.
    query_chunk: queries handled at once.

  Returns:
    o_BLHh in the dtype of q.

  Raises:
    ValueError: unknown implementation.
  """
  if implementation != 'xla':
    raise ValueError(f"unknown attention {implementation!r}; choose from 'xla'")
  L = q_BLHh.shape[1]
  if L <= 2 * query_chunk:
    width = -(-L // (32 * BLOCKS)) * 32
    cuts = [(start, min(start + width, L)) for start in range(0, L, width)]
    return jnp.concatenate([
        _attend(q_BLHh[:, a:b], k_BLKh[:, :b], v_BLKh[:, :b], segment_ids_BL[:, a:b], segment_ids_BL[:, :b], a)
        for a, b in cuts], axis=1)
  pad = -L % query_chunk
  q = jnp.pad(q_BLHh, ((0, 0), (0, pad), (0, 0), (0, 0)))
  seg = jnp.pad(segment_ids_BL, ((0, 0), (0, pad)))
  n = (L + pad) // query_chunk
  chunked = lambda x: jnp.moveaxis(x.reshape(x.shape[0], n, query_chunk, *x.shape[2:]), 1, 0)

  @jax.checkpoint
  def one(args):
    i, q_chunk, seg_chunk = args
    return _attend(q_chunk, k_BLKh, v_BLKh, seg_chunk, segment_ids_BL, i * query_chunk)

  o = jax.lax.map(one, (jnp.arange(n), chunked(q), chunked(seg)))
  return jnp.moveaxis(o, 0, 1).reshape(q.shape)[:, :L]


def _attend(q_BLHh, k_BSKh, v_BSKh, q_seg_BL, k_seg_BS, offset):
  """Queries at absolute positions offset.. against all keys. Scores and softmax in float32."""
  B, L, H, h = q_BLHh.shape
  S, K = k_BSKh.shape[1:3]
  q_BLKGh = q_BLHh.reshape(B, L, K, H // K, h) * h**-0.5
  scores = jnp.einsum('BLKGh,BSKh->BKGLS', q_BLKGh, k_BSKh, preferred_element_type=jnp.float32)
  causal_LS = (offset + jnp.arange(L))[:, None] >= jnp.arange(S)[None, :]
  mask_BLS = causal_LS & (q_seg_BL[:, :, None] == k_seg_BS[:, None, :])
  probs = jax.nn.softmax(jnp.where(mask_BLS[:, None, None], scores, MASKED), axis=-1).astype(v_BSKh.dtype)
  return jnp.einsum('BKGLS,BSKh->BLKGh', probs, v_BSKh).reshape(B, L, H, h)


def rope_angles(positions, head_dim: int, theta: float):
  """(sin, cos) of rotary embedding, float32, shape positions.shape + [head_dim / 2]."""
  frequencies = theta ** (-jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
  angles = positions[..., None].astype(jnp.float32) * frequencies
  return jnp.sin(angles), jnp.cos(angles)


def rotate(x, rope):
  """Applies rotary embedding to [..., heads, h] (halves convention, as in Qwen2 and Llama checkpoints on the hub)."""
  sin, cos = (a[..., None, :] for a in rope)
  x1, x2 = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  return jnp.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], axis=-1).astype(x.dtype)
