"""Per-token log-probabilities and entropy without ever holding [B, L, V] logits.

One code for SFT, RL and scoring: positions go through the head in chunks, the backward pass computes each chunk's
logits again and accumulates the head's gradient in float32. Under a mesh the head is gathered once per call (not once
per chunk, as a scan under GSPMD would do) and its gradient is reduced once, to the part of it that each device keeps;
with a `tensor` axis the vocabulary stays split. Given sharding.copies of a tied table, each device uses its own and
keeps its own gradient.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from vibethinker_jax.sharding import AXES, BATCH, platform

CHUNK = 2048  # positions per chunk: at V = 151 936 the float32 logits of one chunk take 1.2 GB
CPU_CHUNK = 2**25  # floats of a chunk's logits on CPU, and of a part of the head's gradient: 134 MB


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def token_scores(x_BLD, head, targets_BL, chunk: int = 0, tied: bool = False):
  """Log-probability of each target and entropy of each prediction.

  Args:
    x_BLD: final hidden states, any float dtype.
    head: output embedding head_DV, or head_VD or head_CVD (sharding.copies) if tied; any float dtype. Products
      accumulate in float32.
    targets_BL: int32, the token that position l predicts (usually the next one).
    chunk: positions per chunk and device; 0: CHUNK, and on CPU fewer for large vocabularies.
    tied: the head is the embedding table. Transposed by the caller it would need memory of its own on CPU, and again
      its gradient.

  Returns:
    (logp_BL, entropy_BL), float32 (entropy in nats). Differentiable in x and head through both.
  """
  return _forward(x_BLD, head, targets_BL, chunk, tied)[0]


def _axes():
  """(whether a mesh of several devices is in use, its tensor axis or None)."""
  mesh = jax.sharding.get_abstract_mesh()
  sharded = not mesh.empty and mesh.size > 1
  return sharded, 'tensor' if sharded and mesh.shape['tensor'] > 1 else None


def _map(function, in_specs, out_specs):
  sharded, _ = _axes()
  if not sharded:
    return function
  return jax.shard_map(function, in_specs=in_specs, out_specs=out_specs, check_vma=False)


_ROWS, _HEAD, _COPIES = P(BATCH, 'context'), {False: P(None, 'tensor'), True: P('tensor', None)}, P(AXES)
_SPLIT_HEAD = {False: P('fsdp', 'tensor'), True: P('tensor', 'fsdp')}
_SUM_AXES = BATCH + ('context',)


def _chunks(chunk, V, *arrays):
  """[b, l, ...] -> [n, chunk, ...], zero-padded."""
  flat = [a.reshape(-1, *a.shape[2:]) for a in arrays]
  if not chunk:
    chunk = min(CHUNK, max(1, CPU_CHUNK // V)) if platform() == 'cpu' else CHUNK
  size = min(chunk, flat[0].shape[0])
  pad = -flat[0].shape[0] % size
  return [jnp.pad(a, ((0, pad),) + ((0, 0),) * (a.ndim - 1)).reshape(-1, size, *a.shape[1:]) for a in flat]


def _logits(x_TD, head, tied):
  return jnp.einsum(f'TD,{_letters(tied)}->TV', x_TD, head, preferred_element_type=jnp.float32)


def _letters(tied):
  return 'VD' if tied else 'DV'


def _add_product(d_head, x_TD, d_TV, tied):
  """d_head plus the head's gradient of one chunk. On CPU the product is an array of its own before it is added: there
  it is made and added in parts."""
  product = lambda x, d: jnp.einsum(f'TD,TV->{_letters(tied)}', x, d, preferred_element_type=jnp.float32)
  rows, columns = d_head.shape
  part = max(1, CPU_CHUNK // columns)
  if platform() != 'cpu' or part >= rows:
    return d_head + product(x_TD, d_TV)
  cut = d_TV if tied else x_TD  # its columns are the rows of the gradient

  def add(start, size, d_head):
    columns_here = jax.lax.dynamic_slice_in_dim(cut, start, size, axis=1)
    more = product(x_TD, columns_here) if tied else product(columns_here, d_TV)
    here = jax.lax.dynamic_slice_in_dim(d_head, start, size, axis=0)
    return jax.lax.dynamic_update_slice_in_dim(d_head, here + more, start, axis=0)

  # A loop: written out, XLA would make all the parts first.
  d_head = jax.lax.fori_loop(0, rows // part, lambda i, d_head: add(i * part, part, d_head), d_head)
  return add(rows - rows % part, rows % part, d_head) if rows % part else d_head


def _hits(targets_T, V, tensor):
  """[T, V]: where the target of each position stands in this device's slice of the vocabulary.

  A comparison joins the pass over the logits that there is anyway; a gather or scatter would copy all of them to
  another layout first (on TPU 3 ms of 15 for 2 048 positions).
  """
  local = targets_T - (jax.lax.axis_index(tensor) * V if tensor else 0)
  return jnp.arange(V)[None, :] == local[:, None]


def _forward(x_BLD, head, targets_BL, chunk, tied):
  _, tensor = _axes()
  own, V = head.ndim == 3, head.shape[-2 if tied else 1]
  if tensor and V % jax.sharding.get_abstract_mesh().shape['tensor']:
    raise ValueError(
      f'a vocabulary of {V} cannot be split over mesh axis tensor='
      f'{jax.sharding.get_abstract_mesh().shape["tensor"]}: pad model.vocab_size to a multiple'
    )
  total = (lambda y: jax.lax.psum(y, tensor)) if tensor else (lambda y: y)

  def local(x, head, targets):
    head = head[0] if own else head

    def one(_, args):
      xs, ts = args
      logits = _logits(xs, head, tied)
      top = jnp.max(logits, axis=-1)
      top = jax.lax.pmax(top, tensor) if tensor else top
      e = jnp.exp(logits - top[:, None])
      z = total(jnp.sum(e, axis=-1))
      mean = total(jnp.sum(e * logits, axis=-1)) / z
      picked = total(jnp.sum(jnp.where(_hits(ts, logits.shape[-1], tensor), logits, 0.0), axis=-1))
      lse = top + jnp.log(z)
      return None, (picked - lse, lse - mean, lse)

    _, out = jax.lax.scan(one, None, tuple(_chunks(chunk, V, x, targets)))
    return tuple(o.reshape(-1)[: targets.size].reshape(targets.shape) for o in out)

  head_spec = _COPIES if own else _HEAD[tied]
  logp, entropy, lse = _map(local, (_ROWS, head_spec, _ROWS), (_ROWS,) * 3)(x_BLD, head, targets_BL)
  return (logp, entropy), (x_BLD, head, targets_BL, lse, entropy)


def _backward(chunk, tied, saved, gradients):
  """d logp = onehot - p; d entropy = -p (log p + entropy), both times their incoming gradients."""
  x_BLD, head, targets_BL, lse_BL, entropy_BL = saved
  sharded, tensor = _axes()
  own, V, D_axis = head.ndim == 3, head.shape[-2 if tied else 1], 1 if tied else 0
  scattered = sharded and not own and head.shape[D_axis] % jax.sharding.get_abstract_mesh().shape['fsdp'] == 0

  def local(x, head, targets, lse, entropy, d_logp, d_entropy):
    head = head[0] if own else head

    def one(d_head, args):
      xs, ts, lse, entropy, d_logp, d_entropy = args
      log_p = _logits(xs, head, tied) - lse[:, None]
      p = jnp.exp(log_p)
      hit = jnp.where(_hits(ts, log_p.shape[-1], tensor), d_logp[:, None], 0.0)
      d = (hit - p * (d_logp[:, None] + d_entropy[:, None] * (log_p + entropy[:, None]))).astype(head.dtype)
      d_xs = jnp.einsum(f'TV,{_letters(tied)}->TD', d, head, preferred_element_type=jnp.float32)
      return _add_product(d_head, xs, d, tied), (jax.lax.psum(d_xs, tensor) if tensor else d_xs).astype(xs.dtype)

    args = tuple(_chunks(chunk, V, x, targets, lse, entropy, d_logp, d_entropy))
    d_head, d_x = jax.lax.scan(one, jnp.zeros(head.shape, jnp.float32), args)
    d_x = d_x.reshape(-1, x.shape[-1])[: x.shape[0] * x.shape[1]].reshape(x.shape)
    if own:
      return d_x, d_head.astype(head.dtype)[None]
    if scattered:  # each device keeps the part that its parameters are; an all-reduce would be twice the traffic
      d_head = jax.lax.psum_scatter(d_head, 'fsdp', scatter_dimension=D_axis, tiled=True)
    if sharded:
      d_head = jax.lax.psum(d_head, ('data', 'context') if scattered else _SUM_AXES)
    return d_x, d_head.astype(head.dtype)

  spec, d_spec = (_COPIES, _COPIES) if own else (_HEAD[tied], _SPLIT_HEAD[tied] if scattered else _HEAD[tied])
  d_x, d_head = _map(local, (_ROWS, spec) + (_ROWS,) * 5, (_ROWS, d_spec))(
    x_BLD, head, targets_BL, lse_BL, entropy_BL, *gradients
  )
  return d_x, d_head, None


token_scores.defvjp(_forward, _backward)
