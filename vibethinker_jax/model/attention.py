"""Attention by name, one signature for training, scoring and prefill.

`xla` is the reference and runs on any device: exact softmax attention. Short rows are cut into a few blocks of queries
that read only the keys up to their own end (half of the work, causally); long ones are chunked over queries so that
memory grows linearly with the sequence (each chunk's scores are computed again in the backward pass).
"""

from typing import NamedTuple

import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from vibethinker_jax.model.kernels.gpu_attention import cudnn_attention, triton_attention
from vibethinker_jax.model.kernels.splash import splash_attention
from vibethinker_jax.sharding import platform

IMPLEMENTATIONS = ('auto', 'xla', 'splash', 'triton', 'cudnn')
AUTO = {'tpu': 'splash', 'gpu': 'triton'}  # of packed rows; xla elsewhere
QUERY_CHUNK = 512
BLOCK = 64  # queries of a short row; on CPU 32 x 256 tokens take 0.4 of the time of one plain product and softmax
MASKED = -1e30  # not -inf: a row that is all masked (padding) must stay finite


class Prefix(NamedTuple):
  """Keys and values before a row, which all of its positions attend to; valid_BX (bool) says which there are."""

  k_BXKh: jax.Array
  v_BXKh: jax.Array
  valid_BX: jax.Array


def attention(
  q_BLHh,
  k_BLKh,
  v_BLKh,
  segment_ids_BL,
  implementation: str = 'auto',
  query_chunk: int = QUERY_CHUNK,
  prefix: Prefix | None = None,
):
  """Causal attention inside segments.

  Args:
    q_BLHh: queries, already rotated and not yet scaled.
    k_BLKh, v_BLKh: keys and values; H is a multiple of K (grouped queries).
    segment_ids_BL: int32; positions attend to earlier positions of the same segment. Packed documents have
      different ids; 0 marks padding.
    implementation: 'xla' (any device), 'splash' (the TPU kernel), 'triton' (the GPU kernel), 'cudnn' (on NVIDIA GPUs;
      of packed rows triton), or 'auto': splash on TPU, triton on GPU, else xla.
    query_chunk: queries that xla handles at once.
    prefix: of each row, if any; xla only ('auto' then takes it).

  Returns:
    o_BLHh in the dtype of q, named 'attention' for checkpoint policies.

  Raises:
    ValueError: unknown implementation, or one that cannot serve this platform, these arrays or a prefix.
  """
  if implementation not in IMPLEMENTATIONS:
    raise ValueError(f'unknown attention {implementation!r}; choose from {", ".join(IMPLEMENTATIONS)}')
  if prefix is not None and implementation not in ('auto', 'xla'):
    raise ValueError(f"attention {implementation!r} has no keys before a row (shared prompts): use 'xla'")
  if implementation == 'auto' and prefix is None:
    implementation = AUTO.get(platform(), 'xla')
  kernels = {'splash': splash_attention, 'triton': triton_attention, 'cudnn': cudnn_attention}
  if implementation in kernels:
    return kernels[implementation](q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, 'attention')
  return checkpoint_name(_xla(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, query_chunk, prefix), 'attention')


def _xla(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, query_chunk, prefix):
  L = q_BLHh.shape[1]
  if L <= 2 * query_chunk:
    return _short(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, prefix)
  pad = -L % query_chunk
  q = jnp.pad(q_BLHh, ((0, 0), (0, pad), (0, 0), (0, 0)))
  seg = jnp.pad(segment_ids_BL, ((0, 0), (0, pad)))
  n = (L + pad) // query_chunk
  chunked = lambda x: jnp.moveaxis(x.reshape(x.shape[0], n, query_chunk, *x.shape[2:]), 1, 0)

  @jax.checkpoint
  def one(args):
    i, q_chunk, seg_chunk = args
    mask = _mask(seg_chunk, segment_ids_BL, i * query_chunk)
    if prefix is None:
      return _attend(q_chunk, k_BLKh, v_BLKh, mask)
    return _attend(
      q_chunk,
      jnp.concatenate([prefix.k_BXKh, k_BLKh], axis=1),
      jnp.concatenate([prefix.v_BXKh, v_BLKh], axis=1),
      _before(prefix, mask),
    )

  o = jax.lax.map(one, (jnp.arange(n), chunked(q), chunked(seg)))
  return jnp.moveaxis(o, 0, 1).reshape(q.shape)[:, :L]


def _short(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, prefix):
  """Blocks of queries against the keys up to their end: heads before positions, the division after the last product."""
  B, L, H, h = q_BLHh.shape
  K = k_BLKh.shape[2]
  G = H // K
  # Split and joined again, not sliced: the gradients are then joined and cut, where those of slices are padded and
  # added.
  cuts = list(range(BLOCK, L, BLOCK))
  qs = jnp.split((q_BLHh * h**-0.5).reshape(B, L, K, G, h).transpose(0, 2, 3, 1, 4), cuts, axis=3)
  ks = jnp.split(k_BLKh.transpose(0, 2, 3, 1), cuts, axis=3)
  vs = jnp.split(v_BLKh.transpose(0, 2, 3, 1), cuts, axis=3)
  X, blocks = 0, []
  if prefix is not None:
    X = prefix.valid_BX.shape[1]
    ks, vs = ([p.transpose(0, 2, 3, 1), *z] for p, z in ((prefix.k_BXKh, ks), (prefix.v_BXKh, vs)))
  for i, q in enumerate(qs):
    start, n = i * BLOCK, q.shape[3]
    end = start + n
    k, v = (jnp.concatenate(z[: i + 1 + (X > 0)], axis=3) for z in (ks, vs))
    scores = jnp.matmul(q.reshape(B, K, G * n, h), k, preferred_element_type=jnp.float32).reshape(B, K, G, n, X + end)
    mask = _mask(segment_ids_BL[:, start:end], segment_ids_BL[:, :end], start)
    # Added, not selected: the backward pass then has no mask to apply.
    scores += jnp.where(mask if prefix is None else _before(prefix, mask), 0.0, MASKED)[:, None, None]
    e = jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True)))
    o = jnp.einsum(
      'BKLS,BKhS->BKLh', e.reshape(B, K, G * n, X + end).astype(v.dtype), v, preferred_element_type=jnp.float32
    )
    blocks.append((o.reshape(B, K, G, n, h) / jnp.sum(e, axis=-1, keepdims=True)).astype(q_BLHh.dtype))
  return jnp.concatenate(blocks, axis=3).transpose(0, 3, 1, 2, 4).reshape(B, L, H, h)


def _mask(q_segments_BL, k_segments_BS, offset):
  causal_LS = (offset + jnp.arange(q_segments_BL.shape[1]))[:, None] >= jnp.arange(k_segments_BS.shape[1])[None, :]
  return causal_LS & (q_segments_BL[:, :, None] == k_segments_BS[:, None, :])


def _before(prefix, mask_BLS):
  """The mask with the prefix in front."""
  B, L, _ = mask_BLS.shape
  valid_BLX = jnp.broadcast_to(prefix.valid_BX[:, None], (B, L, prefix.valid_BX.shape[1]))
  return jnp.concatenate([valid_BLX, mask_BLS], axis=2)


def _attend(q_BLHh, k_BSKh, v_BSKh, mask_BLS):
  """Queries against all keys. Scores and softmax in float32."""
  B, L, H, h = q_BLHh.shape
  K = k_BSKh.shape[2]
  q_BLKGh = q_BLHh.reshape(B, L, K, H // K, h) * h**-0.5
  scores = jnp.einsum('BLKGh,BSKh->BKGLS', q_BLKGh, k_BSKh, preferred_element_type=jnp.float32)
  probs = jax.nn.softmax(jnp.where(mask_BLS[:, None, None], scores, MASKED), axis=-1).astype(v_BSKh.dtype)
  return jnp.einsum('BKGLS,BSKh->BLKGh', probs, v_BSKh).reshape(B, L, H, h)
