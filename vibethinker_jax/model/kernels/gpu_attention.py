"""Attention on GPUs: JAX's own Pallas-Triton kernel, which knows segments, and cuDNN's, which does not."""

import functools

import jax
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.pallas.ops.gpu import attention as kernel
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from vibethinker_jax.sharding import BATCH, platform

ROW = 128  # the kernel's tiles of queries and keys divide a row
BACKWARD = 32  # tiles of the backward pass: both of a row's whole queries and keys are read, so shared memory is scarce


def triton_attention(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, name: str):
  """As attention.attention, for packed rows. Each device runs the kernel on its own rows and heads; on CPU it is
  interpreted (tests).

  Args:
    name: under which checkpoint policies find the output and the log-sum-exp (kept, the backward pass does not run the
      forward kernel again).

  Raises:
    ValueError: a TPU, or rows that are split over the mesh axis `context`.
  """
  if platform() == 'tpu':
    raise ValueError("attention 'triton' is a kernel for GPUs; on TPU use 'splash' or 'auto'")
  function = functools.partial(_triton, name=name, interpret=platform() == 'cpu')
  return _on_each_device('triton', function, q_BLHh, k_BLKh, v_BLKh, segment_ids_BL)


def cudnn_attention(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, name: str):
  """As triton_attention, but by cuDNN where each row of a device is one segment, padded at its end or not.

  cuDNN's causal attention takes no segment ids, and which rows come is only known when they are there: a device that
  has a packed row among its rows takes the other kernel for all of them.

  Raises:
    ValueError: not an NVIDIA GPU, not a dtype of cuDNN, or rows that are split over the mesh axis `context`.
  """
  if platform() != 'gpu':
    raise ValueError(f"attention 'cudnn' needs an NVIDIA GPU, this is {platform()!r}: use 'auto'")
  if q_BLHh.dtype not in (jnp.bfloat16, jnp.float16):
    raise ValueError(f"attention 'cudnn' computes in bfloat16 or float16, not {q_BLHh.dtype}: use 'triton'")

  def function(q, k, v, segments):
    packed = functools.partial(_triton, name=name, interpret=False)
    return jax.lax.cond(
      _packed(segments), packed, lambda q, k, v, _: checkpoint_name(_cudnn(q, k, v), name), q, k, v, segments
    )

  return _on_each_device('cudnn', function, q_BLHh, k_BLKh, v_BLKh, segment_ids_BL)


def _on_each_device(implementation, function, q_BLHh, k_BLKh, v_BLKh, segment_ids_BL):
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.size == 1:
    return function(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL)
  if mesh.shape['context'] > 1:
    raise ValueError(
      f'attention {implementation!r} cannot split rows over {mesh.shape["context"]} devices '
      "(mesh.context): use 'xla', or mesh.context=1"
    )
  heads = 'tensor' if k_BLKh.shape[2] % mesh.shape['tensor'] == 0 else None
  rows = P(BATCH, None, heads, None)
  return jax.shard_map(function, in_specs=(rows, rows, rows, P(BATCH, None)), out_specs=rows, check_vma=False)(
    q_BLHh, k_BLKh, v_BLKh, segment_ids_BL
  )


def _packed(segment_ids_BL):
  """Whether a segment starts anywhere but at the beginning of a row."""
  before, after = segment_ids_BL[:, :-1], segment_ids_BL[:, 1:]
  return jnp.any((before != after) & (after != 0))


def _cudnn(q_BLHh, k_BLKh, v_BLKh):
  return jax.nn.dot_product_attention(q_BLHh, k_BLKh, v_BLKh, is_causal=True, implementation='cudnn')


def _triton(q_BLHh, k_BLKh, v_BLKh, segment_ids_BL, *, name, interpret):
  L, group = q_BLHh.shape[1], q_BLHh.shape[2] // k_BLKh.shape[2]
  pad = lambda x: jnp.pad(x, ((0, 0), (0, -L % ROW)) + ((0, 0),) * (x.ndim - 2))
  # The kernel knows no grouped queries. Padding is a segment of its own, or goes on with that of the row.
  repeat = lambda x: jnp.repeat(x, group, axis=2)
  q, k, v = pad(q_BLHh), repeat(pad(k_BLKh)), repeat(pad(v_BLKh))
  return _flash(q, k, v, pad(segment_ids_BL), name, interpret)[:, :L]


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _flash(q_BLHh, k_BLHh, v_BLHh, segment_ids_BL, name, interpret):
  """The kernel and its gradients; its own definition does not name what the backward pass needs."""
  return _forward(q_BLHh, k_BLHh, v_BLHh, segment_ids_BL, name, interpret)[0]


def _options(q, interpret):
  sizes = kernel.BlockSizes(
    block_q=ROW, block_k=ROW, block_q_dkv=BACKWARD, block_kv_dkv=BACKWARD, block_q_dq=BACKWARD, block_kv_dq=BACKWARD
  )
  return dict(
    sm_scale=q.shape[-1] ** -0.5,
    causal=True,
    block_sizes=sizes,
    backward_pass_impl='triton',
    num_warps=None,
    num_stages=2,
    grid=None,
    interpret=interpret,
    debug=False,
  )


def _forward(q, k, v, segments, name, interpret):
  o, lse = kernel.mha(q, k, v, segments, return_residuals=True, **_options(q, interpret))
  o, lse = checkpoint_name(o, name), checkpoint_name(lse, name)
  return o, (q, k, v, segments, o, lse)


def _backward(name, interpret, saved, d):
  del name
  return kernel._mha_backward(**_options(saved[0], interpret), return_residuals=False, res=saved, do=d)


_flash.defvjp(_forward, _backward)
