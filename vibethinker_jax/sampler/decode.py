"""The jitted parts of the sampler: rollout weights, prefill, filling slots, and a run of decode steps."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P

from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig, compute_dtype
from vibethinker_jax.model.rope import rope_angles
from vibethinker_jax.sampler import cache as kv
from vibethinker_jax.sampler.sampling import sample, token_keys
from vibethinker_jax.sharding import AXES


class Slots(NamedTuple):
  """B sequences in flight.

  Attributes:
    cache: see cache.empty.
    column: int32 scalar, the column the next step writes.
    tokens_B: the token each slot feeds next; lengths_B: its tokens so far, that one included.
    made_B: response tokens so far; limits_B: how many it may have.
    keys_B: one random key per slot (of its response).
    alive_B: still decoding.
  """
  cache: Any
  column: jax.Array
  tokens_B: jax.Array
  lengths_B: jax.Array
  made_B: jax.Array
  limits_B: jax.Array
  keys_B: jax.Array
  alive_B: jax.Array


@functools.partial(jax.jit, static_argnums=0, static_argnames='mesh')
def rollout_weights(config: ModelConfig, params, *, mesh) -> dict:
  """Weights as decoding wants them: compute dtype, one dict per layer, whole on every device; gathered once."""
  whole = NamedSharding(mesh, P())
  cast = lambda path, x: x if 'norm' in jax.tree_util.keystr(path) else x.astype(compute_dtype())
  weights = jax.tree_util.tree_map_with_path(cast, params)
  layers = [jax.tree.map(lambda x: x[i], weights['layers']) for i in range(config.num_hidden_layers)]
  return jax.lax.with_sharding_constraint(weights | {'layers': layers}, whole)


@functools.partial(jax.jit, static_argnums=0)
def prefill(config: ModelConfig, params, tokens_PL, lengths_P):
  """Keys and values of right-aligned prompts.

  Args:
    tokens_PL: prompts without their last token (that one is fed to the first decode step), padded on the left.
    lengths_P: real tokens of each row.

  Returns:
    ((k, v) per layer), each [P, K, h, L].
  """
  L = tokens_PL.shape[1]
  positions_PL = jnp.arange(L)[None, :] - (L - lengths_P)[:, None]
  segments_PL = (positions_PL >= 0).astype(jnp.int32)
  _, (k, v) = transformer.hidden(config, params, tokens_PL, jnp.maximum(positions_PL, 0), segments_PL, keep_kv=True)
  turned = lambda x: jnp.moveaxis(x, 1, 3)  # [P, L, K, h] -> [P, K, h, L]
  return tuple((turned(k[i]), turned(v[i])) for i in range(config.num_hidden_layers))


@functools.partial(jax.jit, static_argnums=(0, 1, 2), static_argnames='mesh')
def empty_slots(config: ModelConfig, batch: int, columns: int, *, mesh) -> Slots:
  """Slots that are all free."""
  zeros = jnp.zeros(batch, jnp.int32)
  keys = jnp.broadcast_to(jax.random.key(0), (batch,))
  return _split(mesh, Slots(kv.empty(config, batch, columns, compute_dtype()), jnp.int32(0), zeros, zeros + 1, zeros,
                            zeros, keys, zeros > 0))


@functools.partial(jax.jit, donate_argnums=0, static_argnames='mesh')
def fill(slots: Slots, prompts, source_B, tokens_B, lengths_B, limits_B, keys_B, *, mesh) -> Slots:
  """Starts new responses in the slots where source_B >= 0 (see cache.insert)."""
  new = source_B >= 0
  put = lambda fresh, old: jnp.where(new, fresh, old)
  return _split(mesh, Slots(
      kv.insert(slots.cache, prompts, source_B, slots.column), slots.column, put(tokens_B, slots.tokens_B),
      put(lengths_B, slots.lengths_B), put(0, slots.made_B), put(limits_B, slots.limits_B),
      jax.random.wrap_key_data(jnp.where(new[:, None], jax.random.key_data(keys_B), jax.random.key_data(slots.keys_B))),
      slots.alive_B | new))


@functools.partial(jax.jit, static_argnames='mesh')
def take(slots: Slots, index_B, *, mesh) -> Slots:
  """The slots at index_B, as a smaller batch."""
  return _split(mesh, jax.tree.map(lambda x: x[index_B] if x.ndim else x, slots))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3,
                   static_argnames=('temperature', 'top_p', 'vocab_size', 'mesh'))
def decode(config: ModelConfig, steps: int, weights, slots: Slots, stop_ids, *, temperature: float, top_p: float,
           vocab_size: int, mesh):
  """Runs `steps` decode steps of all slots. No host contact, no collective: rows are independent.

  Args:
    stop_ids: int32 [n], tokens that end a response (they belong to it).

  Returns:
    (slots, tokens [B, steps], logp [B, steps] float32, count_B: how many of these are part of the response,
    alive_B, stopped_B: ended by a stop token).
  """
  def step(t, carry):
    slots, tokens, logps, count, stopped = carry
    rope = rope_angles(config, slots.lengths_B - 1)
    x = weights['embedding'][slots.tokens_B]
    new_cache = []
    for layer, layer_cache in zip(weights['layers'], slots.cache):
      attend = lambda q, k, v: kv.attend(q, k, v, layer_cache, slots.column, slots.lengths_B)
      x, updated = transformer.Block(config).apply({'params': layer}, x, rope, attend)
      new_cache.append(updated)
    x = transformer.rms_norm(x, weights['final_norm'], config.rms_norm_eps)
    head = transformer.head_weight(config, weights)
    logits_BV = jnp.einsum('BD,DV->BV', x, head, preferred_element_type=jnp.float32)
    token, logp = sample(logits_BV, token_keys(slots.keys_B, slots.made_B), temperature=temperature, top_p=top_p,
                         vocab_size=vocab_size)
    alive = slots.alive_B
    made = slots.made_B + alive
    stop = alive & jnp.isin(token, stop_ids)
    columns = slots.cache[0][0].shape[-1]
    slots = slots._replace(
        cache=tuple(new_cache), column=(slots.column + 1) % columns, tokens_B=jnp.where(alive, token, slots.tokens_B),
        lengths_B=slots.lengths_B + alive, made_B=made, alive_B=alive & ~stop & (made < slots.limits_B))
    put = lambda out, new: jax.lax.dynamic_update_slice_in_dim(out, new[:, None], t, 1)
    return slots, put(tokens, token), put(logps, logp), count + alive, stopped | stop

  B = slots.tokens_B.shape[0]
  zeros = jnp.zeros(B, jnp.int32)
  start = (slots, jnp.zeros((B, steps), jnp.int32), jnp.zeros((B, steps), jnp.float32), zeros, zeros > 0)
  slots, tokens, logps, count, stopped = jax.lax.fori_loop(0, steps, step, start)
  whole = NamedSharding(mesh, P())
  host = jax.lax.with_sharding_constraint((tokens, logps, count, slots.alive_B, stopped), whole)
  return _split(mesh, slots), *host


def _split(mesh, slots: Slots) -> Slots:
  """Slots are divided over all devices, whatever their mesh axes."""
  spec = lambda x: NamedSharding(mesh, P(AXES) if x.ndim else P())
  return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, spec(x)), slots)
