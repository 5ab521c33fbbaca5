"""The sampler's programs with abstract arguments: weights for the rollout, prefill, a run of decode steps."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P

from vibethinker_jax.aot.programs.shapes import Shape
from vibethinker_jax.aot.programs.training import Program, device_bytes
from vibethinker_jax.sampler import decode, engine
from vibethinker_jax.sharding import AXES

PROMPT = 256  # tokens of a prompt where the config leaves it open
STOP_IDS = 2


class Sizes(NamedTuple):
  """slots, tokens: of the cache, both of each device. columns: of the longest response. chunk: prompts prefilled at
  once on each device. prompt: positions of a prefilled prompt."""

  slots: int
  tokens: int
  columns: int
  chunk: int
  prompt: int


def sizes(options: engine.Options, group: int, devices: int) -> Sizes:
  """What engine.generate derives from its options."""
  columns = options.columns or math.ceil(((options.prompt_columns or PROMPT) + options.max_tokens) / 128) * 128
  slots = math.ceil(options.slots / devices)
  return Sizes(
    slots,
    options.cache_tokens or slots * columns,
    columns,
    max(1, slots // group),
    min(columns, options.prompt_columns or PROMPT),
  )


def programs(shape: Shape, params, options: engine.Options, group: int, mesh, held: dict) -> list[Program]:
  """Three programs, in the order in which they run.

  Args:
    params: abstract, on the mesh. group: responses to a prompt. held: bytes by class of what else is on the devices,
      the parameters not among them.
  """
  config, devices = shape.config, mesh.size
  size = sizes(options, group, devices)
  layout = engine.layout(options, size.columns)
  split = lambda tree: _placed(tree, NamedSharding(mesh, P(AXES)))
  whole = lambda tree: _placed(tree, NamedSharding(mesh, P()))
  prompts = size.chunk * devices
  of_prompts = (jax.ShapeDtypeStruct((prompts, size.prompt), jnp.int32), jax.ShapeDtypeStruct((prompts,), jnp.int32))
  weights = whole(jax.eval_shape(functools.partial(decode.rollout_weights, config, mesh=mesh), params))
  slots = split(
    jax.eval_shape(functools.partial(decode.empty_slots, config, layout, size.slots * devices, size.columns, mesh=mesh))
  )
  prefilled = split(jax.eval_shape(functools.partial(decode.prefill, config, layout, mesh=mesh), params, *of_prompts))
  ints = split([jax.ShapeDtypeStruct((prompts * group,), jnp.int32)] * 5)
  keys = split(jax.eval_shape(lambda: jnp.broadcast_to(jax.random.key(0), (prompts * group,))))
  queue = decode.Queue(prefilled, split(jax.ShapeDtypeStruct((devices,), jnp.int32)), *ints, keys)
  number = jax.ShapeDtypeStruct((), jnp.int32)
  bounds = decode.Bounds(number, number, jax.ShapeDtypeStruct((STOP_IDS,), jnp.int32))

  parameters = {'parameters': device_bytes(params)}
  rollout, cache = {'rollout_weights': device_bytes(weights)}, {'kv_cache': device_bytes(slots)}
  lower_decode = lambda: decode.decode.lower(
    config,
    options.steps_per_call,
    weights,
    slots,
    queue,
    bounds,
    distribution=engine.distribution(options, shape.tokens),
    mesh=mesh,
  )
  return [
    Program('weights', lambda: decode.rollout_weights.lower(config, params, mesh=mesh), parameters, held),
    Program(
      'prefill',
      lambda: decode.prefill.lower(config, layout, params, *of_prompts, mesh=mesh),
      parameters,
      held | rollout | cache,
      tokens=prompts * size.prompt,
      rows=size.chunk,
    ),
    Program(
      'decode',
      lower_decode,
      rollout | cache | {'batch': device_bytes(queue)},
      held | parameters,
      rows=size.slots,
      cache_tokens=size.tokens,
    ),
  ]


def _placed(tree, placement):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placement), tree)
