"""The jitted programs of training with abstract arguments: what a run would compile, from its config and mesh alone."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from vibethinker_jax import sharding
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.programs import rl, sft
from vibethinker_jax.rl import batch as batch_lib
from vibethinker_jax.train import state as state_lib, step as step_lib

MICROS = 32  # micro-batches whose arrays are on the devices at once in an RL update
SFT_FIELDS = ('tokens', 'targets', 'mask', 'segment_ids', 'positions')  # of data.loader.sft_batches


class Program(NamedTuple):
  """One program of a stage.

  Attributes:
    name: 'sft_step', ... lower: makes the jax.stages.Lowered; call it with the mesh set.
    arguments: bytes per device by class: parameters, optimizer, batch, kv_cache, rollout_weights.
    held: the same of arrays that live on the devices meanwhile without being an argument.
    tokens: positions that one run processes, on all devices; 0: not counted in tokens.
    flops: of the model for them (training: forward and backward, nothing computed twice; causal attention).
    rows: of a batch on each device, at once. trains: has gradients.
    cache_tokens: of each device; 0: not a decode loop.
    longest: the program that does the same with as many tokens in rows of the full length, '' where there is none;
      share: of that length that this one's rows have.
  """

  name: str
  lower: Callable[[], Any]
  arguments: dict
  held: dict = {}
  tokens: int = 0
  flops: float = 0.0
  rows: int = 0
  trains: bool = False
  cache_tokens: int = 0
  longest: str = ''
  share: float = 1.0


def device_bytes(tree) -> float:
  """Bytes on each device of a tree of ShapeDtypeStructs with shardings."""
  return float(
    sum(np.prod(x.sharding.shard_shape(x.shape), dtype=np.int64) * x.dtype.itemsize for x in jax.tree.leaves(tree))
  )


def matmul_params(config: ModelConfig) -> int:
  """Weights that a token is multiplied with, the head included."""
  attention = config.hidden_size * config.head_dim * 2 * (config.num_attention_heads + config.num_key_value_heads)
  mlp = 3 * config.hidden_size * config.intermediate_size
  return config.num_hidden_layers * (attention + mlp) + config.hidden_size * config.vocab_size


def forward_flops(config: ModelConfig, tokens: int, length: int) -> float:
  """Of one forward pass over rows of `length` positions, each a single document (a position attends to half a row)."""
  attention = 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * length / 2
  return tokens * (2.0 * matmul_params(config) + attention)


def _abstract(fields: dict, shape: tuple, mesh) -> dict:
  placed = sharding.batch_sharding(mesh)
  return {name: jax.ShapeDtypeStruct(shape, dtype, sharding=placed) for name, dtype in fields.items()}


def _check_rows(rows: int, mesh, what: str) -> int:
  shards = mesh.shape['data'] * mesh.shape['fsdp']
  if rows < 1 or rows % shards:
    raise ValueError(f'{what} = {rows} rows cannot be divided over data x fsdp = {shards} devices: make it a multiple')
  return rows // shards


def sft_step(config: ModelConfig, options: sft.Options, mesh) -> Program:
  if options.batch_size % options.micro_batches:
    raise ValueError(f'batch_size={options.batch_size} cannot be divided into micro_batches={options.micro_batches}')
  rows = _check_rows(options.batch_size // options.micro_batches, mesh, 'batch_size / micro_batches')
  optimizer, _ = sft.make_optimizer(options)
  state = state_lib.abstract(config, optimizer, mesh)
  batch = _abstract(dict.fromkeys(SFT_FIELDS, jnp.int32), (options.batch_size, options.length), mesh)
  step = sft.make_step(config, state, optimizer, options)
  tokens = options.batch_size * options.length
  return Program(
    'sft_step',
    lambda: step.lower(state, batch),
    state_bytes(state) | {'batch': device_bytes(batch)},
    tokens=tokens,
    flops=3 * forward_flops(config, tokens, options.length),
    rows=rows,
    trains=True,
  )


def state_bytes(state: state_lib.TrainState) -> dict:
  return {'parameters': device_bytes(state.params), 'optimizer': device_bytes(state._replace(params=()))}


def scoring(config: ModelConfig, score, params, rows: int, length: int, mesh) -> Program:
  """Log-probabilities of packed rows; `score`: the jitted (params, batch) -> logps."""
  per_device = _check_rows(rows, mesh, 'micro_batch')
  batch = _abstract(dict.fromkeys(('tokens', 'targets', 'positions', 'segment_ids'), jnp.int32), (rows, length), mesh)
  return Program(
    'score',
    lambda: score.lower(params, batch),
    {'parameters': device_bytes(params), 'batch': device_bytes(batch)},
    tokens=rows * length,
    flops=forward_flops(config, rows * length, length),
    rows=per_device,
  )


def rl_update(config: ModelConfig, options: rl.Options, state, optimizer, mesh) -> list[Program]:
  """The programs of an update: scoring where the options ask for it, gradients for each length of rows, application."""
  lengths = batch_lib.row_lengths(options.row_length, options.shortest_row)
  functions = rl.jitted(config, mesh, options.loss, options.execution(), options.limit())
  with_policy = options.recompute_logps or options.loss.corrects()
  sizes = state_bytes(state)
  moments, reference = {'optimizer': sizes['optimizer']}, sizes['parameters'] if options.loss.kl else 0.0
  held = moments | {'reference': reference} if reference else moments
  count = jax.ShapeDtypeStruct((), jnp.int32)
  programs = []
  for length in reversed(lengths):
    rows = options.micro_batch * options.row_length // length
    per_device = _check_rows(rows, mesh, f'micro_batch at rows of {length} positions')
    fields = dict.fromkeys(batch_lib.INTS, jnp.int32) | dict.fromkeys(batch_lib.FLOATS, jnp.float32)
    plain = _micros(fields, MICROS, rows, length, mesh)
    added = {'advantages': jnp.float32} | ({'policy_logps': jnp.float32} if with_policy else {})
    added |= {'reference_logps': jnp.float32} if options.loss.kl else {}
    micros = _micros(fields | added, MICROS, rows, length, mesh)
    if options.loss.rewards_entropy():
      micros['entropy_weight'] = jax.ShapeDtypeStruct(
        (MICROS,), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec())
      )
    total = _total(functions.accumulate, state.params, micros, count, mesh)
    tokens = rows * length
    forward = forward_flops(config, tokens, length)
    parameters, batch = {'parameters': sizes['parameters']}, {'batch': device_bytes(micros)}
    name = '' if length == options.row_length else f'_{length}'
    if with_policy or options.loss.kl:
      programs.append(
        Program(
          f'score{name}',
          functools.partial(functions.score.lower, state.params, plain, count),
          parameters | batch,
          held,
          tokens,
          forward,
          per_device,
          **_shorter('score', length, options),
        )
      )
    programs.append(
      Program(
        f'mgpo_step{name}',
        functools.partial(functions.accumulate.lower, total, state.params, micros, count),
        parameters | batch | {'gradients': device_bytes(total)},
        held,
        tokens,
        3 * forward,
        per_device,
        trains=True,
        **_shorter('mgpo_step', length, options),
      )
    )
  apply = step_lib.jit_apply(state, optimizer)
  programs.append(
    Program(
      'apply',
      lambda: apply.lower(state, total),
      sizes | {'gradients': device_bytes(total)},
      {'reference': reference} if reference else {},
    )
  )
  return programs


def _shorter(program: str, length: int, options: rl.Options) -> dict:
  """Fields of a Program over rows of `length`, where `program` has the longest."""
  return {'longest': program, 'share': length / options.row_length} if length < options.row_length else {}


def _micros(fields: dict, count: int, rows: int, length: int, mesh) -> dict:
  placed = NamedSharding(mesh, PartitionSpec(None, *sharding.batch_sharding(mesh).spec))
  return {name: jax.ShapeDtypeStruct((count, rows, length), dtype, sharding=placed) for name, dtype in fields.items()}


def _total(accumulate, params, micros, count, mesh):
  """What `accumulate` carries from batch to batch: gradients as the parameters lie, sums everywhere."""
  _, *sums = accumulate.eval_shape(None, params, micros, count)
  whole = NamedSharding(mesh, PartitionSpec())
  return params, *jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), sums)
