"""The train state: arrays only, so that donation, saving and merging are trivial."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vibethinker_jax import checkpoint, sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import ModelConfig


class TrainState(NamedTuple):
  """step: updates tried, int32; skipped: updates in a row that were not applied because they were not finite."""

  step: jax.Array
  params: Any
  opt_state: Any
  skipped: jax.Array


def save(checkpoints: checkpoint.Checkpoints, step: int, state: TrainState, position: dict) -> None:
  """See Checkpoints.save; position: where the stage stands, besides the state."""
  checkpoints.save(step, state.params, beside_params(state), position)


def restore_newest(checkpoints: checkpoint.Checkpoints, abstract: TrainState) -> tuple[int, TrainState, dict] | None:
  """(step, state, position) of the newest checkpoint that is whole; None if there is none."""
  found = checkpoints.restore_newest(abstract.params, beside_params(abstract))
  if found is None:
    return None
  step, params, rest, position = found
  return step, TrainState(params=params, **rest), position


def beside_params(state: TrainState) -> dict:
  """What of a state a checkpoint keeps beside the parameters, to go on from."""
  return {'step': state.step, 'opt_state': state.opt_state, 'skipped': state.skipped}


def create(params, optimizer: optax.GradientTransformation) -> TrainState:
  return TrainState(jnp.int32(0), params, optimizer.init(params), jnp.int32(0))


def abstract(config: ModelConfig, optimizer: optax.GradientTransformation, mesh) -> TrainState:
  """The state as ShapeDtypeStructs with their shardings, for restoring and for ahead-of-time compilation."""
  shapes = jax.eval_shape(lambda p: create(p, optimizer), transformer.shapes(config))
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, sharding.tree_shardings(mesh, shapes)
  )


def init(config: ModelConfig, optimizer: optax.GradientTransformation, mesh, key=None, params=None) -> TrainState:
  """A fresh state on the mesh, from random parameters (`key`) or from given ones."""
  shardings = jax.tree.map(lambda x: x.sharding, abstract(config, optimizer, mesh))
  if params is None:
    return jax.jit(lambda k: create(transformer.init(config, k), optimizer), out_shardings=shardings)(key)
  params = jax.device_put(params, shardings.params)
  return jax.jit(lambda p: create(p, optimizer), out_shardings=shardings)(params)
