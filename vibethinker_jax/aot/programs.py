"""The jitted programs of every stage, with abstract arguments: what a run would compile, from its config and mesh alone."""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vibethinker_jax import config as config_lib, sharding
from vibethinker_jax.aot import shapes
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.programs import rl, sft
from vibethinker_jax.rl import batch as batch_lib
from vibethinker_jax.sampler import decode
from vibethinker_jax.train import state as state_lib, step as step_lib

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
  """
  name: str
  lower: Callable[[], Any]
  arguments: dict
  held: dict = {}
  tokens: int = 0
  flops: float = 0.0
  rows: int = 0
  trains: bool = False


def device_bytes(tree) -> float:
  """Bytes on each device of a tree of ShapeDtypeStructs with shardings."""
  return float(sum(np.prod(x.sharding.shard_shape(x.shape), dtype=np.int64) * x.dtype.itemsize
                   for x in jax.tree.leaves(tree)))


def matmul_params(config: ModelConfig) -> int:
  """Weights that a token is multiplied with, the head included."""
  attention = config.hidden_size * config.head_dim * 2 * (config.num_attention_heads + config.num_key_value_heads)
  mlp = 3 * config.hidden_size * config.intermediate_size
  return config.num_hidden_layers * (attention + mlp) + config.hidden_size * config.vocab_size


def forward_flops(config: ModelConfig, tokens: int, length: int) -> float:
  """Of one forward pass over rows of `length` positions, each a single document (a position attends to half a row)."""
  attention = 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * length / 2
  return tokens * (2.0 * matmul_params(config) + attention)


def stage_programs(recipe: config_lib.Recipe, options, mesh) -> list[Program]:
  """The programs of a stage with these options (of programs.*.Options), in the order in which they run.

  Raises:
    ValueError: batches that cannot be divided over the mesh.
  """
  model = shapes.base(recipe)
  if options.program == 'sft':
    return [_sft_step(model.config, options, mesh)]
  if options.program == 'rl':
    return _rl_programs(model.config, options, mesh)
  return []


def _abstract(fields: dict, shape: tuple, mesh) -> dict:
  placed = sharding.batch_sharding(mesh)
  return {name: jax.ShapeDtypeStruct(shape, dtype, sharding=placed) for name, dtype in fields.items()}


def _check_rows(rows: int, mesh, what: str) -> int:
  shards = mesh.shape['data'] * mesh.shape['fsdp']
  if rows < 1 or rows % shards:
    raise ValueError(f'{what} = {rows} rows cannot be divided over data x fsdp = {shards} devices: make it a multiple')
  return rows // shards


def _sft_step(config: ModelConfig, options: sft.Options, mesh) -> Program:
  if options.batch_size % options.micro_batches:
    raise ValueError(f'batch_size={options.batch_size} cannot be divided into micro_batches={options.micro_batches}')
  rows = _check_rows(options.batch_size // options.micro_batches, mesh, 'batch_size / micro_batches')
  optimizer, _ = sft.make_optimizer(options)
  state = state_lib.abstract(config, optimizer, mesh)
  batch = _abstract(dict.fromkeys(SFT_FIELDS, jnp.int32), (options.batch_size, options.length), mesh)
  step = sft.make_step(config, state, optimizer, options)
  tokens = options.batch_size * options.length
  return Program('sft_step', lambda: step.lower(state, batch), _state_bytes(state) | {'batch': device_bytes(batch)},
                 tokens=tokens, flops=3 * forward_flops(config, tokens, options.length), rows=rows, trains=True)


def _state_bytes(state: state_lib.TrainState) -> dict:
  return {'parameters': device_bytes(state.params), 'optimizer': device_bytes(state._replace(params=()))}


def _rl_programs(config: ModelConfig, options: rl.Options, mesh) -> list[Program]:
  optimizer, _ = rl.make_optimizer(options)
  state = state_lib.abstract(config, optimizer, mesh)
  return [_rollout_weights(config, state, mesh)] + _rl_update(config, options, optimizer, state, mesh)


def _rl_update(config: ModelConfig, options: rl.Options, optimizer, state, mesh) -> list[Program]:
  rows = _check_rows(options.micro_batch, mesh, 'micro_batch')
  shape = options.micro_batch, options.row_length
  one = batch_lib.rl_batch([[1]], np.ones((1, 1, 1), np.int32), np.zeros((1, 1, 1)), np.ones((1, 1), np.int32),
                           np.ones((1, 1), bool), row_length=2, rows_multiple=1)
  fields = {name: x.dtype for name, x in one.items()} | {'advantages': jnp.float32}
  with_policy = bool(options.recompute_logps or options.loss.importance_cap)
  added = {'policy_logps': jnp.float32} if with_policy else {}
  added |= {'reference_logps': jnp.float32} if options.loss.kl else {}
  accumulate, score, _ = rl._jitted(config, mesh, options.loss, options.remat, options.attention, options.unroll)
  micro = _abstract(fields | added, shape, mesh)
  first = jax.eval_shape(lambda params, batch: accumulate(None, params, batch), state.params, micro)
  whole = jax.NamedSharding(mesh, jax.P())
  total = (state.params, *jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), first[1:]))
  step = jax.jit(accumulate, donate_argnums=0)
  tokens = shape[0] * shape[1]
  forward = forward_flops(config, tokens, options.row_length)
  sizes, gradient = _state_bytes(state), {'gradients': device_bytes(total)}
  reference = {'parameters': sizes['parameters']} if options.loss.kl else {}
  batch = {'batch': device_bytes(micro)}
  parameters, moments = ({name: sizes[name]} for name in ('parameters', 'optimizer'))
  programs = []
  if added:
    programs.append(Program('score', lambda: score.lower(state.params, _abstract(fields, shape, mesh)),
                            parameters | batch, _sum(moments, reference), tokens, forward, rows))
  programs.append(Program('mgpo_step', lambda: step.lower(total, state.params, micro), parameters | batch | gradient,
                          _sum(moments, reference), tokens, 3 * forward, rows, True))
  apply = step_lib.jit_apply(state, optimizer)
  programs.append(Program('apply', lambda: apply.lower(state, total), sizes | gradient, reference))
  return programs


def _rollout_weights(config: ModelConfig, state: state_lib.TrainState, mesh) -> Program:
  sizes = _state_bytes(state)
  return Program('weights', lambda: decode.rollout_weights.lower(config, state.params, mesh=mesh),
                 {'parameters': sizes['parameters']}, {'optimizer': sizes['optimizer']})


def _sum(*parts: dict) -> dict:
  return {name: sum(part.get(name, 0.0) for part in parts) for part in parts for name in part}
