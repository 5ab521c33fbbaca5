"""The decoder of the Qwen2, Qwen3 and Llama families. Linen is used in this file alone; everywhere else parameters are
a plain nested dict:

  embedding [V, D], final_norm [D], head [D, V] (untied models), and layers/ stacked over N:
  attention_norm, mlp_norm [N, D]; q [N, D, H, h]; k, v [N, D, K, h]; q_bias [N, H, h]; k_bias, v_bias [N, K, h];
  o [N, H, h, D]; gate, up [N, D, F]; down [N, F, D]; of Qwen3 also q_norm, k_norm [N, h] and no biases.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from vibethinker_jax.model import attention as attention_lib
from vibethinker_jax.model.config import ModelConfig, compute_dtype
from vibethinker_jax.model.rope import rope_angles, rotate
from vibethinker_jax.sharding import gathered, lookup, platform

# What the backward pass keeps of each layer instead of computing it again.
REMAT_POLICIES = {
  'none': None,  # keep everything
  'full': jax.checkpoint_policies.nothing_saveable,
  'attention': jax.checkpoint_policies.save_only_these_names('attention'),
  'attention_qkv': jax.checkpoint_policies.save_only_these_names('attention', 'qkv'),
}


class Packing(NamedTuple):
  """Which positions of a row belong together.

  Attributes:
    positions_BL: int32 rotary positions, restarting in each packed segment; default 0..L-1.
    segment_ids_BL: int32, see attention.attention; default one segment a row.
    prefix_BX: int32; all positions of row b also attend to the positions prefix_BX[b] of this batch, counted through
      (row * L + column); -1 is none. They start at a multiple of X, which divides L. This is how responses share the
      prompt that stands in another row.
  """

  positions_BL: jax.Array | None = None
  segment_ids_BL: jax.Array | None = None
  prefix_BX: jax.Array | None = None


class Execution(NamedTuple):
  """How the layers are computed; what they compute is the same.

  Attributes:
    attention: by name, see attention.attention.
    remat: a name of REMAT_POLICIES.
    unroll: the layers are unrolled instead of scanned (faster on CPU for few layers, slower to compile).
  """

  attention: str = 'auto'
  remat: str = 'none'
  unroll: bool = False


def rms_norm(x, scale, eps: float):
  """x * scale / rms(x), statistics in float32, result in the dtype of x."""
  x32 = x.astype(jnp.float32)
  return (x32 * jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + eps) * scale).astype(x.dtype)


def matmul(x, w):
  """x [..., D] @ w [D, F]. On CPU the product over flattened rows, gradients included, takes 0.6 of the time of the
  same product over [B, L]; positions that are split over `context` cannot be flattened without moving them."""
  mesh = jax.sharding.get_abstract_mesh()
  if not mesh.empty and mesh.shape['context'] > 1:
    return x @ w
  return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])


def swiglu(gate, up):
  """silu(gate) * up. On TPU it and its gradients are kept apart from the matrix products that read them: XLA would
  compute them again for every tile of those (32K positions on v5e: 2.3 times the time of the product with `down`)."""
  return _swiglu_apart(gate, up) if platform() == 'tpu' else jax.nn.silu(gate) * up


@jax.custom_vjp
def _swiglu_apart(gate, up):
  return jax.lax.optimization_barrier(jax.nn.silu(gate) * up)


def _swiglu_backward(saved, d):
  _, backward = jax.vjp(lambda gate, up: jax.nn.silu(gate) * up, *saved)
  return jax.lax.optimization_barrier(backward(d))


_swiglu_apart.defvjp(lambda gate, up: (_swiglu_apart(gate, up), (gate, up)), _swiglu_backward)


class Block(nn.Module):
  """One layer. `attend(q, k, v) -> (o, extra)` decides what attention reads: the sequence itself, or a cache."""

  config: ModelConfig

  @nn.compact
  def __call__(self, x, rope, attend: Callable):
    c = self.config
    dtype = x.dtype
    normal = nn.initializers.normal(c.initializer_range)
    # GPT-2's scaling of what is added to the residual stream: its variance then does not grow with depth.
    out = nn.initializers.normal(c.initializer_range / (2 * c.num_hidden_layers) ** 0.5)

    def weight(name, shape, init=normal):
      return gathered(f'layers/{name}', self.param(name, init, shape, jnp.float32).astype(dtype))

    def norm(name, width=c.hidden_size):
      return self.param(name, nn.initializers.ones, (width,), jnp.float32)

    def project(name, y, heads):
      z = matmul(y, weight(name, (c.hidden_size, heads, c.head_dim)).reshape(c.hidden_size, -1))
      z = z.reshape(*y.shape[:-1], heads, c.head_dim)
      if not c.attention_bias:
        return z
      return z + weight(f'{name}_bias', (heads, c.head_dim), nn.initializers.zeros)

    with jax.named_scope('qkv'):
      y = rms_norm(x, norm('attention_norm'), c.rms_norm_eps)
      q, k, v = (
        project(name, y, heads)
        for name, heads in (('q', c.num_attention_heads), ('k', c.num_key_value_heads), ('v', c.num_key_value_heads))
      )
      if c.qk_norm:
        q = rms_norm(q, norm('q_norm', c.head_dim), c.rms_norm_eps)
        k = rms_norm(k, norm('k_norm', c.head_dim), c.rms_norm_eps)
      q, k = rotate(q, rope), rotate(k, rope)
      q, k, v = (checkpoint_name(z, 'qkv') for z in (q, k, v))
    with jax.named_scope('attention'):
      o, extra = attend(q, k, v)
      w = weight('o', (c.num_attention_heads, c.head_dim, c.hidden_size), out)
      x = x + matmul(o.reshape(*x.shape[:-1], -1), w.reshape(-1, c.hidden_size))
    with jax.named_scope('mlp'):
      y = rms_norm(x, norm('mlp_norm'), c.rms_norm_eps)
      gate = matmul(y, weight('gate', (c.hidden_size, c.intermediate_size)))
      up = matmul(y, weight('up', (c.hidden_size, c.intermediate_size)))
      x = x + matmul(swiglu(gate, up), weight('down', (c.intermediate_size, c.hidden_size), out))
    return x, extra


def init(config: ModelConfig, key: jax.Array) -> dict:
  """Random parameters, float32. Jit it with out_shardings to create them in place."""
  x = jnp.zeros((1, 1, config.hidden_size))
  rope = rope_angles(config, jnp.zeros((1, 1)))
  one = lambda k: Block(config).init(k, x, rope, lambda q, k, v: (q, None))['params']
  embedding_key, head_key, layer_key = jax.random.split(key, 3)
  normal = nn.initializers.normal(config.initializer_range)
  params = {
    'embedding': normal(embedding_key, (config.vocab_size, config.hidden_size)),
    'layers': jax.vmap(one)(jax.random.split(layer_key, config.num_hidden_layers)),
    'final_norm': jnp.ones(config.hidden_size),
  }
  if not config.tie_word_embeddings:
    params['head'] = normal(head_key, (config.hidden_size, config.vocab_size))
  return params


def shapes(config: ModelConfig) -> dict:
  """The parameter tree as ShapeDtypeStructs."""
  return jax.eval_shape(lambda: init(config, jax.random.key(0)))


def head_weight(config: ModelConfig, params: dict) -> jax.Array:
  """head_DV in the compute dtype of the caller's choosing (here: as stored, float32)."""
  return params['embedding'].T if config.tie_word_embeddings else params['head']


def hidden(
  config: ModelConfig,
  params: dict,
  tokens_BL,
  packing: Packing = Packing(),
  execution: Execution = Execution(),
  *,
  table=None,
  keep_kv: bool = False,
):
  """Final normalised hidden states.

  Args:
    tokens_BL: int32 token ids.
    table: the embedding in the dtype of the activations, as sharding.lookup takes it; default that of `params` in
      `compute_dtype()`.
    keep_kv: return the rotated keys and the values of each layer as well (prefill).

  Returns:
    x_BLD, or (x_BLD, (k_NBLKh, v_NBLKh)) with keep_kv.

  Raises:
    ValueError: unknown remat policy or attention.
  """
  if execution.remat not in REMAT_POLICIES:
    raise ValueError(f'unknown remat policy {execution.remat!r}; choose from {", ".join(REMAT_POLICIES)}')
  B, L = tokens_BL.shape
  positions_BL, segment_ids_BL, prefix_BX = packing
  if positions_BL is None:
    positions_BL = jnp.broadcast_to(jnp.arange(L), (B, L))
  if segment_ids_BL is None:
    segment_ids_BL = jnp.ones((B, L), jnp.int32)
  rope = rope_angles(config, positions_BL)
  x = lookup(params['embedding'].astype(compute_dtype()) if table is None else table, tokens_BL)

  def attend(q, k, v):
    prefix = None if prefix_BX is None else attention_lib.Prefix(slots(k), slots(v), prefix_BX >= 0)
    o = attention_lib.attention(q, k, v, segment_ids_BL, execution.attention, prefix=prefix)
    return o, (k, v) if keep_kv else None

  def slots(z_BLKh):
    # Whole slots are gathered: on CPU the gradient is then a few additions of blocks, not one for each position.
    X = prefix_BX.shape[1]
    return z_BLKh.reshape(-1, X, *z_BLKh.shape[2:])[jnp.maximum(prefix_BX[:, 0], 0) // X]

  def layer(x, layer_params):
    return Block(config).apply({'params': layer_params}, x, rope, attend)

  if (policy := REMAT_POLICIES[execution.remat]) is not None:
    layer = jax.checkpoint(layer, policy=policy, prevent_cse=execution.unroll)
  x, kv = jax.lax.scan(layer, x, params['layers'], unroll=config.num_hidden_layers if execution.unroll else 1)
  x = rms_norm(x, params['final_norm'], config.rms_norm_eps)
  return (x, kv) if keep_kv else x


def logits(config: ModelConfig, params: dict, tokens_BL, positions_BL=None, segment_ids_BL=None):
  """Float32 logits_BLV of whole sequences, for small inputs and tests (training never makes this array)."""
  x = hidden(
    config, params, tokens_BL, Packing(positions_BL, segment_ids_BL), table=params['embedding'].astype(jnp.float32)
  )
  return jnp.einsum('BLD,DV->BLV', x, head_weight(config, params), preferred_element_type=jnp.float32)


def num_params(params: dict) -> int:
  return sum(x.size for x in jax.tree.leaves(params))
