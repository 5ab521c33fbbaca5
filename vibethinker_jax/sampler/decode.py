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
  """B sequences in flight, divided over all devices. Arrays with a D are one number per device.

  Attributes:
    cache: see cache.empty.
    column_D: int32, the column the next step writes.
    head_D: int32, entries of the queue that were taken.
    owner_B: int32, the response in each slot.
    tokens_B: the token each slot feeds next; lengths_B: its tokens so far, that one included.
    made_B: response tokens so far; limits_B: how many it may have.
    keys_B: one random key per slot (of its response).
    alive_B: still decoding.
  """
  cache: Any
  column_D: jax.Array
  head_D: jax.Array
  owner_B: jax.Array
  tokens_B: jax.Array
  lengths_B: jax.Array
  made_B: jax.Array
  limits_B: jax.Array
  keys_B: jax.Array
  alive_B: jax.Array


class Queue(NamedTuple):
  """Q responses that wait for a slot, divided over all devices like the slots.

  Attributes:
    prompts: ((k, v) per layer) of prefilled prompts, see cache.insert.
    count_D: int32, how many of a device's entries are real.
    owner_Q: int32, the response. row_Q: its prompt among the device's own.
    tokens_Q: the prompt's last token. lengths_Q: tokens of the prompt. keys_Q: the response's random key.
  """
  prompts: Any
  count_D: jax.Array
  owner_Q: jax.Array
  row_Q: jax.Array
  tokens_Q: jax.Array
  lengths_Q: jax.Array
  keys_Q: jax.Array


class Steps(NamedTuple):
  """What a run of decode steps did, per slot and step.

  Attributes:
    tokens_BT: int32. logps_BT: float32.
    owner_BT: int32, the response that a token belongs to; -1: the slot was idle.
    place_BT: int32, the token's position in its response.
    end_BT: int8, GOES_ON, or how the response ended with this token: STOPPED, CUT_OFF.
    steps_D: int32, steps that were run.
    alive_B: slots still decoding. waiting_D: entries left in the queue.
  """
  tokens_BT: jax.Array
  logps_BT: jax.Array
  owner_BT: jax.Array
  place_BT: jax.Array
  end_BT: jax.Array
  steps_D: jax.Array
  alive_B: jax.Array
  waiting_D: jax.Array


GOES_ON, STOPPED, CUT_OFF = 0, 1, 2


@functools.partial(jax.jit, static_argnums=0, static_argnames='mesh')
def rollout_weights(config: ModelConfig, params, *, mesh) -> dict:
  """Weights as decoding wants them: compute dtype, one dict per layer, whole on every device; gathered once."""
  whole = NamedSharding(mesh, P())
  cast = lambda path, x: x if 'norm' in jax.tree_util.keystr(path) else x.astype(compute_dtype())
  weights = jax.tree_util.tree_map_with_path(cast, params)
  layers = [jax.tree.map(lambda x: x[i], weights['layers']) for i in range(config.num_hidden_layers)]
  return jax.lax.with_sharding_constraint(weights | {'layers': layers}, whole)


@functools.partial(jax.jit, static_argnums=0, static_argnames='mesh')
def prefill(config: ModelConfig, params, tokens_PL, lengths_P, *, mesh):
  """Keys and values of right-aligned prompts.

  Args:
    tokens_PL: prompts without their last token (that one is fed to the first decode step), padded on the left.
    lengths_P: real tokens of each row.

  Returns:
    ((k [P, K, h, L], v [P, K, L, h]) per layer), divided over all devices.
  """
  L = tokens_PL.shape[1]
  positions_PL = jnp.arange(L)[None, :] - (L - lengths_P)[:, None]
  segments_PL = (positions_PL >= 0).astype(jnp.int32)
  _, (k, v) = transformer.hidden(config, params, tokens_PL, jnp.maximum(positions_PL, 0), segments_PL, keep_kv=True)
  return _split(mesh, tuple((k[i].transpose(0, 2, 3, 1), v[i].transpose(0, 2, 1, 3))
                            for i in range(config.num_hidden_layers)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2), static_argnames='mesh')
def empty_slots(config: ModelConfig, batch: int, columns: int, *, mesh) -> Slots:
  """Slots that are all free."""
  zeros = jnp.zeros(batch, jnp.int32)
  devices = jnp.zeros(mesh.size, jnp.int32)
  keys = jnp.broadcast_to(jax.random.key(0), (batch,))
  return _split(mesh, Slots(kv.empty(config, batch, columns, compute_dtype()), devices, devices, zeros, zeros, zeros + 1,
                            zeros, zeros, keys, zeros > 0))


@functools.partial(jax.jit, static_argnames='mesh')
def take(slots: Slots, index_B, *, mesh) -> Slots:
  """A smaller batch: on each device its slots at its own part of index_B."""
  each = lambda slots, index: slots._replace(**{
      name: jax.tree.map(lambda x: x[index], getattr(slots, name)) for name in slots._fields if not name.endswith('_D')})
  return _on_each_device(mesh, each)(slots, index_B)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3,
                   static_argnames=('temperature', 'top_p', 'vocab_size', 'mesh'))
def decode(config: ModelConfig, steps: int, weights, slots: Slots, queue: Queue, limit, floor, stop_ids, *,
           temperature: float, top_p: float, vocab_size: int, mesh) -> tuple[Slots, Steps]:
  """Runs up to `steps` decode steps; slots whose response ended take the next of the queue, inside the loop.

  Each device runs its own loop on its own slots and queue: no collective, no host contact.

  Args:
    limit: int32, tokens a response may have.
    floor: int32, a device stops early once it has that many live slots or fewer and its queue is empty.
    stop_ids: int32 [n], tokens that end a response (they belong to it).
  """
  def run(weights, slots, queue, limit, floor, stop_ids):
    B = slots.tokens_B.shape[0]
    empty = functools.partial(jnp.zeros, (B, steps))
    out = (empty(jnp.int32), empty(jnp.float32), empty(jnp.int32) - 1, empty(jnp.int32), empty(jnp.int8))

    def go_on(carry):
      t, slots, _ = carry
      return (t < steps) & (jnp.sum(slots.alive_B) > floor)

    def step(carry):
      t, slots, out = carry
      slots, new = _step(config, weights, slots, stop_ids, temperature, top_p, vocab_size)
      out = tuple(jax.lax.dynamic_update_slice_in_dim(x, y[:, None].astype(x.dtype), t, 1) for x, y in zip(out, new))
      return t + 1, _refill(slots, queue, limit), out

    t, slots, out = jax.lax.while_loop(go_on, step, (jnp.int32(0), _refill(slots, queue, limit), out))
    return slots, Steps(*out, t[None], slots.alive_B, queue.count_D - slots.head_D)

  return _on_each_device(mesh, run, replicated=(0, 3, 4, 5))(weights, slots, queue, limit, floor, stop_ids)


def _step(config, weights, slots: Slots, stop_ids, temperature, top_p, vocab_size):
  """One token for every slot: (slots, (token, logp, owner, place, end))."""
  rope = rope_angles(config, slots.lengths_B - 1)
  x = weights['embedding'][slots.tokens_B]
  new_cache = []
  for layer, layer_cache in zip(weights['layers'], slots.cache):
    attend = lambda q, k, v: kv.attend(q, k, v, layer_cache, slots.column_D[0], slots.lengths_B)
    x, updated = transformer.Block(config).apply({'params': layer}, x, rope, attend)
    new_cache.append(updated)
  x = transformer.rms_norm(x, weights['final_norm'], config.rms_norm_eps)
  head = transformer.head_weight(config, weights)
  logits_BV = jnp.einsum('BD,DV->BV', x, head, preferred_element_type=jnp.float32)
  token, logp = sample(logits_BV, token_keys(slots.keys_B, slots.made_B), temperature=temperature, top_p=top_p,
                       vocab_size=vocab_size)
  alive, made = slots.alive_B, slots.made_B + slots.alive_B
  stop = jnp.isin(token, stop_ids)
  cut = made >= slots.limits_B
  end = jnp.where(alive & stop, STOPPED, jnp.where(alive & cut, CUT_OFF, GOES_ON))
  new = token, logp, jnp.where(alive, slots.owner_B, -1), slots.made_B, end
  columns = slots.cache[0][0].shape[-1]
  return slots._replace(
      cache=tuple(new_cache), column_D=(slots.column_D + 1) % columns, tokens_B=jnp.where(alive, token, slots.tokens_B),
      lengths_B=slots.lengths_B + alive, made_B=made, alive_B=alive & (end == GOES_ON)), new


def _refill(slots: Slots, queue: Queue, limit) -> Slots:
  """Puts waiting responses into idle slots, one after another."""
  def wanted(slots):
    return (slots.head_D[0] < queue.count_D[0]) & ~jnp.all(slots.alive_B)

  def one(slots):
    slot, entry = jnp.argmin(slots.alive_B), slots.head_D[0]
    put = lambda x, new: x.at[slot].set(new)
    return Slots(
        kv.insert(slots.cache, queue.prompts, queue.row_Q[entry], slot, slots.column_D[0]), slots.column_D,
        slots.head_D + 1, put(slots.owner_B, queue.owner_Q[entry]), put(slots.tokens_B, queue.tokens_Q[entry]),
        put(slots.lengths_B, queue.lengths_Q[entry]), put(slots.made_B, 0), put(slots.limits_B, limit),
        put(slots.keys_B, queue.keys_Q[entry]), put(slots.alive_B, True))

  return jax.lax.while_loop(wanted, one, slots)


def _on_each_device(mesh, function, replicated=()):
  """`function` on every device's own part of its arguments (split on their first axis) by itself."""
  def call(*args):
    specs = tuple(P() if i in replicated else P(AXES) for i in range(len(args)))
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P(AXES), check_vma=False)(*args)
  return call


def _split(mesh, tree):
  """Divided over all devices by the first axis, whatever the axes of the mesh."""
  return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P(AXES))), tree)
