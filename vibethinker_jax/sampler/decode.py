"""The jitted parts of the sampler: rollout weights, prefill, filling slots, and a run of decode steps."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P

from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig, compute_dtype
from vibethinker_jax.model.rope import rope_angles
from vibethinker_jax.sampler import pages, ring
from vibethinker_jax.sampler.sampling import Distribution, response_keys, sample, token_keys
from vibethinker_jax.sharding import AXES


class Slots(NamedTuple):
  """B sequences in flight, divided over all devices. Arrays with a D are one number per device.

  Attributes:
    cache: ring.Ring or pages.Pages.
    head_D: int32, entries of the queue that were taken.
    owner_B: int32, the response in each slot.
    tokens_B: the token each slot feeds next; lengths_B: its tokens so far, that one included.
    made_B: response tokens so far; limits_B: how many it may have.
    keys_B: one random key per slot (of its response).
    alive_B: still decoding.
  """

  cache: Any
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
    prompts: prefilled, as ring.as_prompts or pages.as_prompts gives them.
    count_D: int32, how many of a device's entries are real.
    owner_Q: int32, the response. row_Q: its prompt among the device's own.
    tokens_Q: the last token. lengths_Q: tokens so far. made_Q: how many of these are of the response (one that goes
      on).
    keys_Q: the response's random key.
  """

  prompts: Any
  count_D: jax.Array
  owner_Q: jax.Array
  row_Q: jax.Array
  tokens_Q: jax.Array
  lengths_Q: jax.Array
  made_Q: jax.Array
  keys_Q: jax.Array


class Steps(NamedTuple):
  """What a run of decode steps did, per slot and step.

  Attributes:
    tokens_BT: int32. logps_BT: float32.
    owner_BT: int32, the response in the slot; -1: the slot was idle.
    place_BT: int32, the token's position in its response; -1: no token.
    end_BT: int8, GOES_ON, or how the response ended with this token: STOPPED, CUT_OFF, or PUT_BACK (no token: the cache
      was full).
    steps_D: int32, steps that were run.
    alive_B: slots still decoding. head_D: entries of the queue that were taken.
  """

  tokens_BT: jax.Array
  logps_BT: jax.Array
  owner_BT: jax.Array
  place_BT: jax.Array
  end_BT: jax.Array
  steps_D: jax.Array
  alive_B: jax.Array
  head_D: jax.Array


class Bounds(NamedTuple):
  """When a response ends, and when a run of steps: arrays, so that other numbers compile nothing again.

  Attributes:
    limit: int32, tokens a response may have.
    floor: int32, a device stops early once it has that many live slots or fewer and nothing waits.
    stop_ids: int32 [n], tokens that end a response (they belong to it).
  """

  limit: jax.Array
  floor: jax.Array
  stop_ids: jax.Array


class Layout(NamedTuple):
  """Of the cache. page: tokens of a page; 0: a ring. int8: the pages hold int8. tokens: see pages.empty."""

  page: int = 0
  int8: bool = False
  tokens: int = 0


GOES_ON, STOPPED, CUT_OFF, PUT_BACK = 0, 1, 2, 3


@functools.partial(jax.jit, static_argnums=0, static_argnames='mesh')
def rollout_weights(config: ModelConfig, params, *, mesh) -> dict:
  """Weights as decoding wants them: compute dtype, one dict per layer, q, k, v and o as matrices (with heads apart, TPU
  would keep a second copy in another layout), whole on every device; gathered once."""
  whole = NamedSharding(mesh, P())
  D = config.hidden_size
  matrices = lambda layer: layer | {n: layer[n].reshape(D, -1) for n in 'qkv'} | {'o': layer['o'].reshape(-1, D)}
  cast = lambda path, x: x if 'norm' in jax.tree_util.keystr(path) else x.astype(compute_dtype())
  weights = jax.tree_util.tree_map_with_path(cast, params)
  layer = lambda i: jax.tree.map(lambda x: x[i], weights['layers'])
  layers = [matrices(layer(i)) for i in range(config.num_hidden_layers)]
  return jax.lax.with_sharding_constraint(weights | {'layers': layers}, whole)


@functools.partial(jax.jit, static_argnames='mesh')
def keys(key, prompt_ids_Q, response_ids_Q, *, mesh):
  """keys_Q of a queue."""
  return _split(mesh, response_keys(key, prompt_ids_Q, response_ids_Q))


@functools.partial(jax.jit, static_argnums=(0, 1), static_argnames='mesh')
def prefill(config: ModelConfig, layout: Layout, params, tokens_PL, lengths_P, *, mesh):
  """Keys and values of prompts, divided over all devices, in the form that the cache takes in.

  Args:
    tokens_PL: prompts without their last token (that one is fed to the first decode step), padded on the left for a
      ring, on the right for pages.
    lengths_P: real tokens of each row.
  """
  L = tokens_PL.shape[1]
  positions_PL = jnp.arange(L)[None, :] - (jnp.zeros_like(lengths_P) if layout.page else L - lengths_P)[:, None]
  segments_PL = ((positions_PL >= 0) & (positions_PL < lengths_P[:, None])).astype(jnp.int32)
  packing = transformer.Packing(jnp.maximum(positions_PL, 0), segments_PL)
  _, (k, v) = transformer.hidden(config, params, tokens_PL, packing, keep_kv=True)
  return _split(mesh, pages.as_prompts(k, v, layout.page, layout.int8) if layout.page else ring.as_prompts(k, v))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3), static_argnames='mesh')
def empty_slots(config: ModelConfig, layout: Layout, slots: int, columns: int, *, mesh) -> Slots:
  """Slots that are all free."""
  zeros = jnp.zeros(slots, jnp.int32)
  keys = jnp.broadcast_to(jax.random.key(0), (slots,))
  if layout.page:
    cache = pages.empty(
      config, mesh.size, slots, columns, layout.tokens, layout.page, jnp.int8 if layout.int8 else compute_dtype()
    )
  else:
    cache = ring.empty(config, mesh.size, slots, columns, compute_dtype())
  free = Slots(cache, jnp.zeros(mesh.size, jnp.int32), zeros, zeros, zeros + 1, zeros, zeros, keys, zeros > 0)
  return _split(mesh, free)


def _kv(cache):
  """The functions of a cache's layout."""
  return pages if isinstance(cache, pages.Pages) else ring


def take(slots: Slots, index_B, alive_B, *, columns: int, mesh) -> Slots:
  """Another batch: on each device its slots at its own part of index_B; alive_B: which of these are alive. A ring has
  `columns` then."""
  if not isinstance(slots.cache, pages.Pages):
    return smaller(slots, index_B, alive_B, columns=columns, mesh=mesh)
  pools = slots.cache.layers  # stay where they are
  slots = smaller(slots._replace(cache=slots.cache._replace(layers=())), index_B, alive_B, columns=0, mesh=mesh)
  return slots._replace(cache=slots.cache._replace(layers=pools))


@functools.partial(jax.jit, static_argnames=('columns', 'mesh'))
def smaller(slots: Slots, index_B, alive_B, *, columns: int, mesh) -> Slots:
  def each(slots, index, alive):
    cache = _kv(slots.cache).take(slots.cache, index, columns)
    rest = jax.tree.map(lambda x: x[index], slots._replace(cache=None, head_D=None))
    return rest._replace(cache=cache, head_D=slots.head_D, alive_B=alive)

  return _on_each_device(mesh, each, (P(AXES), P(AXES), P(AXES)), P(AXES))(slots, index_B, alive_B)


@functools.partial(jax.jit, donate_argnums=0, static_argnames='mesh')
def drop(slots: Slots, gone_B, *, mesh) -> Slots:
  """Ends what is in the slots gone_B."""

  def each(slots, gone):
    gone &= slots.alive_B
    cache = _kv(slots.cache).release(slots.cache, gone, slots.lengths_B - 1)
    return slots._replace(cache=cache, alive_B=slots.alive_B & ~gone)

  return _on_each_device(mesh, each, (P(AXES), P(AXES)), P(AXES))(slots, gone_B)


@functools.partial(jax.jit, donate_argnums=0, static_argnames='mesh')
def fill(slots: Slots, queue: Queue, limit, *, mesh) -> Slots:
  """Idle slots take from the queue, without a step."""
  return _on_each_device(mesh, _refill, (P(AXES), P(AXES), P()), P(AXES))(slots, queue, limit)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3, static_argnames=('distribution', 'mesh'))
def decode(
  config: ModelConfig,
  steps: int,
  weights,
  slots: Slots,
  queue: Queue,
  bounds: Bounds,
  *,
  distribution: Distribution,
  mesh,
) -> tuple[Slots, Steps]:
  """Runs up to `steps` decode steps; slots whose response ended take the next of the queue, inside the loop.

  Each device runs its own loop on its own slots and queue: no collective, no host contact.
  """

  def run(weights, slots, queue, bounds):
    B = slots.tokens_B.shape[0]
    empty = functools.partial(jnp.zeros, (B, steps))
    out = (empty(jnp.int32), empty(jnp.float32), empty(jnp.int32) - 1, empty(jnp.int32) - 1, empty(jnp.int8))

    def go_on(carry):
      t, slots, _ = carry
      alive = jnp.sum(slots.alive_B)
      return (t < steps) & (alive > 0) & ((alive > bounds.floor) | (slots.head_D[0] < queue.count_D[0]))

    def step(carry):
      t, slots, out = carry
      slots, new = _step(config, weights, slots, bounds.stop_ids, distribution)
      out = tuple(jax.lax.dynamic_update_slice_in_dim(x, y[:, None].astype(x.dtype), t, 1) for x, y in zip(out, new))
      return t + 1, _refill(slots, queue, bounds.limit), out

    t, slots, out = jax.lax.while_loop(go_on, step, (jnp.int32(0), _refill(slots, queue, bounds.limit), out))
    return slots, Steps(*out, t[None], slots.alive_B, slots.head_D)

  into = (P(), P(AXES), P(AXES), P())
  return _on_each_device(mesh, run, into, (P(AXES), P(AXES)))(weights, slots, queue, bounds)


def _step(config, weights, slots: Slots, stop_ids, distribution: Distribution):
  """One token for every slot: (slots, (token, logp, owner, place, end))."""
  kv = _kv(slots.cache)
  cache, alive = kv.reserve(slots.cache, slots.lengths_B, slots.alive_B, slots.made_B)
  place = kv.place(cache, slots.lengths_B, alive)
  rope = rope_angles(config, slots.lengths_B - 1)
  x = weights['embedding'][slots.tokens_B]
  layers = []
  for layer, layer_cache in zip(weights['layers'], cache.layers):
    attend = functools.partial(kv.attend, layer=layer_cache, cache=cache, place=place)
    heads = {name: layer[name].reshape(x.shape[1], -1, config.head_dim) for name in 'qkv'}
    heads['o'] = layer['o'].reshape(-1, config.head_dim, x.shape[1])
    x, updated = transformer.Block(config).apply({'params': layer | heads}, x, rope, attend)
    layers.append(updated)
  x = transformer.rms_norm(x, weights['final_norm'], config.rms_norm_eps)
  head = transformer.head_weight(config, weights)
  logits_BV = jnp.einsum('BD,DV->BV', x, head, preferred_element_type=jnp.float32)
  token, logp = sample(logits_BV, token_keys(slots.keys_B, slots.made_B), distribution)
  made = slots.made_B + alive
  end = jnp.where(jnp.isin(token, stop_ids), STOPPED, jnp.where(made >= slots.limits_B, CUT_OFF, GOES_ON))
  end = jnp.where(alive, end, jnp.where(slots.alive_B, PUT_BACK, GOES_ON))
  goes_on = alive & (end == GOES_ON)
  new = token, logp, jnp.where(slots.alive_B, slots.owner_B, -1), jnp.where(alive, slots.made_B, -1), end
  cache = kv.advance(kv.release(cache._replace(layers=tuple(layers)), alive & ~goes_on, slots.lengths_B))
  return slots._replace(
    cache=cache,
    tokens_B=jnp.where(alive, token, slots.tokens_B),
    lengths_B=slots.lengths_B + alive,
    made_B=made,
    alive_B=goes_on,
  ), new


def _refill(slots: Slots, queue: Queue, limit) -> Slots:
  """Puts waiting responses into idle slots, one after another, as far as the cache has room."""
  kv = _kv(slots.cache)
  last = queue.owner_Q.shape[0] - 1

  def wanted(slots):
    head = slots.head_D[0]
    room = kv.fits(slots.cache, queue.lengths_Q[jnp.minimum(head, last)], slots.alive_B)
    return (head < queue.count_D[0]) & ~jnp.all(slots.alive_B) & room

  def one(slots):
    slot, entry = jnp.argmin(slots.alive_B), slots.head_D[0]
    put = lambda x, new: x.at[slot].set(new)
    return Slots(
      kv.insert(slots.cache, queue.prompts, queue.row_Q[entry], slot, queue.lengths_Q[entry]),
      slots.head_D + 1,
      put(slots.owner_B, queue.owner_Q[entry]),
      put(slots.tokens_B, queue.tokens_Q[entry]),
      put(slots.lengths_B, queue.lengths_Q[entry]),
      put(slots.made_B, queue.made_Q[entry]),
      put(slots.limits_B, limit),
      put(slots.keys_B, queue.keys_Q[entry]),
      put(slots.alive_B, True),
    )

  return jax.lax.while_loop(wanted, one, slots)


def _on_each_device(mesh, function, into, out):
  """`function` on every device's own part of its arguments by itself."""
  return jax.shard_map(function, mesh=mesh, in_specs=into, out_specs=out, check_vma=False)


def _split(mesh, tree):
  """Divided over all devices by the first axis, whatever the axes of the mesh."""
  return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P(AXES))), tree)
