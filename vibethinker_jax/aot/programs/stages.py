"""Which programs a stage runs, and what else is in the devices' memory meanwhile."""

import jax

from vibethinker_jax import config as config_lib, sharding
from vibethinker_jax.aot.programs import sampling, shapes, training
from vibethinker_jax.aot.programs.training import Program
from vibethinker_jax.model import transformer
from vibethinker_jax.programs import distill, rl
from vibethinker_jax.train import state as state_lib


def programs(recipe: config_lib.Recipe, options, mesh) -> list[Program]:
  """The programs of a stage with these options (of programs.*.Options), in the order in which they run.

  Raises:
    ValueError: batches that cannot be divided over the mesh.
  """
  shape = shapes.base(recipe)
  if options.program == 'sft':
    return [training.sft_step(shape.config, options, mesh)]
  if options.program == 'rl':
    return _rl(shape, options, mesh)
  if options.program == 'merge':
    return []
  params = _params(shape.config, mesh)
  group = options.samples
  sampled = sampling.programs(shape, params, options.sampler, group, mesh, {}) if group else []
  if options.program == 'distill':
    return sampled + [
      training.scoring(
        shape.config, distill.scorer(shape.config), params, options.micro_batch, options.row_length, mesh
      )
    ]
  return sampled


def _rl(shape: shapes.Shape, options: rl.Options, mesh) -> list[Program]:
  optimizer, _ = rl.make_optimizer(options)
  state = state_lib.abstract(shape.config, optimizer, mesh)
  sizes = training.state_bytes(state)
  held = {'optimizer': sizes['optimizer']} | ({'reference': sizes['parameters']} if options.loss.kl else {})
  return sampling.programs(shape, state.params, options.sampler, options.group, mesh, held) + training.rl_update(
    shape.config, options, state, optimizer, mesh
  )


def _params(config, mesh):
  shapes_ = transformer.shapes(config)
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes_, sharding.tree_shardings(mesh, shapes_)
  )
