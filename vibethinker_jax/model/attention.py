"""Attention by name, one signature for training, scoring and prefill.

`xla` is the reference and runs on any device: exact softmax attention. Short rows are cut into a few blocks of queries
that read only the keys up to their own end (half of the work, causally); long ones are chunked over queries so that
memory grows linearly with the sequence (each chunk's scores are computed again in the backward pass).
"""

import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from vibethinker_jax.model.splash import splash_attention
from vibethinker_jax.sharding import platform

IMPLEMENTATIONS = ('auto', 'xla', 'splash')
QUERY_CHUNK = 512
BLOCK = 64  # queries of a short row; on CPU 32 x 256 tokens take 0.4 of the time of one plain product and softmax
MASKED = -1e30  # not -inf: a row that is all masked (padding) must stay finite


def attention(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, implementation: str = 'auto', query_chunk: int = QUERY_CHUNK):
  """Causal attention inside segments.

  Args:
    q_BLHh: queries, already rotated and not yet scaled.
    k_BLKh, v_BLKh: keys and values; H is a multiple of K (grouped queries).
    segment_ids_BL: int32; positions attend to earlier positions of the same segment. Packed documents have
      different ids; 0 marks padding.
    implementation: 'xla' (any device), 'splash' (the TPU kernel), or 'auto': splash on TPU, else xla.
    query_chunk: queries that xla handles at once.

  Returns:
    o_BLHh in the dtype of q, named 'attention' for checkpoint policies.

  Raises:
    ValueError: unknown implementation.
  """
  if implementation not in IMPLEMENTATIONS:
    raise ValueError(f'unknown attention {implementation!r}; choose from {", ".join(IMPLEMENTATIONS)}')
  if implementation == 'splash' or (implementation == 'auto' and platform() == 'tpu'):
    return splash_attention(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, 'attention')
  return checkpoint_name(_xla(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, query_chunk), 'attention')


def _xla(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, query_chunk):
  L = q_BLHh.shape[1]
  if L <= 2 * query_chunk:
    return _short(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL)
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


def _short(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL):
  """Blocks of queries against the keys up to their end: heads before positions, the division after the last product."""
  B, L, H, h = q_BLHh.shape
  K = k_BLKh.shape[2]
  G = H // K
  # Split and joined again, not sliced: the gradients are then joined and cut, where those of slices are padded and added.
  cuts = list(range(BLOCK, L, BLOCK))
  qs = jnp.split((q_BLHh * h**-0.5).reshape(B, L, K, G, h).transpose(0, 2, 3, 1, 4), cuts, axis=3)
  ks = jnp.split(k_BLKh.transpose(0, 2, 3, 1), cuts, axis=3)
  vs = jnp.split(v_BLKh.transpose(0, 2, 3, 1), cuts, axis=3)
  blocks = []
  for i, q in enumerate(qs):
    start, n = i * BLOCK, q.shape[3]
    end = start + n
    k, v = jnp.concatenate(ks[:i + 1], axis=3), jnp.concatenate(vs[:i + 1], axis=3)
    scores = jnp.matmul(q.reshape(B, K, G * n, h), k, preferred_element_type=jnp.float32).reshape(B, K, G, n, end)
    # Added, not selected: the backward pass then has no mask to apply.
    scores += jnp.where(_mask(segment_ids_BL[:, start:end], segment_ids_BL[:, :end], start), 0.0, MASKED)[:, None, None]
    e = jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True)))
    o = jnp.einsum('BKLS,BKhS->BKLh', e.reshape(B, K, G * n, end).astype(v.dtype), v,
                   preferred_element_type=jnp.float32)
    blocks.append((o.reshape(B, K, G, n, h) / jnp.sum(e, axis=-1, keepdims=True)).astype(q_BLHh.dtype))
  return jnp.concatenate(blocks, axis=3).transpose(0, 3, 1, 2, 4).reshape(B, L, H, h)


def _mask(q_segments_BL, k_segments_BS, offset):
  causal_LS = (offset + jnp.arange(q_segments_BL.shape[1]))[:, None] >= jnp.arange(k_segments_BS.shape[1])[None, :]
  return causal_LS & (q_segments_BL[:, :, None] == k_segments_BS[:, None, :])


def _attend(q_BLHh, k_BSKh, v_BSKh, q_seg_BL, k_seg_BS, offset):
  """Queries at absolute positions offset.. against all keys. Scores and softmax in float32."""
  B, L, H, h = q_BLHh.shape
  K = k_BSKh.shape[2]
  q_BLKGh = q_BLHh.reshape(B, L, K, H // K, h) * h**-0.5
  scores = jnp.einsum('BLKGh,BSKh->BKGLS', q_BLKGh, k_BSKh, preferred_element_type=jnp.float32)
  mask_BLS = _mask(q_seg_BL, k_seg_BS, offset)
  probs = jax.nn.softmax(jnp.where(mask_BLS[:, None, None], scores, MASKED), axis=-1).astype(v_BSKh.dtype)
  return jnp.einsum('BKGLS,BSKh->BLKGh', probs, v_BSKh).reshape(B, L, H, h)
