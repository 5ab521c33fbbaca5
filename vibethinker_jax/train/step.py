"""One update from any loss that returns (sum, count, metric sums): gradients, accumulation, application."""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
import optax

from vibethinker_jax import sharding
from vibethinker_jax.train.state import TrainState


def gradients(params, batch: dict, *, loss: Callable):
  """(gradient of the sum, count, metric sums) of one micro-batch; loss: (params, batch) -> (sum, count, sums)."""

  def scalar(params):
    total, count, sums = loss(params, batch)
    return total, (count, sums)

  (_, (count, sums)), gradient = jax.value_and_grad(scalar, has_aux=True)(params)
  return gradient, count, sums


def apply(state: TrainState, accumulated, *, optimizer: optax.GradientTransformation) -> tuple[TrainState, dict]:
  """Divides what `gradients` summed by the count and updates once; skips the update if anything is not finite.

  Returns:
    (state, metrics): the metric sums divided by the count, plus count, grad_norm and skipped (1: not applied).
  """
  gradient, count, sums = accumulated
  count = jnp.maximum(count, 1.0)
  gradient = jax.tree.map(lambda g: g / count, gradient)
  norm = optax.tree.norm(gradient)
  ok = jnp.isfinite(norm)
  updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
  keep = functools.partial(jax.tree.map, lambda new, old: jnp.where(ok, new, old))
  metrics = {name: value / count for name, value in sums.items()}
  metrics |= {'count': accumulated[1], 'grad_norm': norm, 'skipped': 1 - ok.astype(jnp.int32)}
  return TrainState(
    state.step + 1,
    keep(optax.apply_updates(state.params, updates), state.params),
    keep(opt_state, state.opt_state),
    jnp.where(ok, 0, state.skipped + 1),
  ), metrics


def train_step(
  state: TrainState, batch: dict, *, loss: Callable, optimizer: optax.GradientTransformation, micro_batches: int = 1
) -> tuple[TrainState, dict]:
  """One update from a batch whose rows are split into `micro_batches` (rows i, i + micro_batches, ... together, so
  that each device keeps the rows it has). The gradient is that of sum / count over all of them."""
  if micro_batches == 1:
    return apply(state, gradients(state.params, batch, loss=loss), optimizer=optimizer)
  split = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, micro_batches, *x.shape[1:]), 1, 0), batch)
  one = functools.partial(gradients, state.params, loss=loss)
  shapes = jax.eval_shape(one, jax.tree.map(lambda x: x[0], split))
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  accumulated, _ = jax.lax.scan(lambda total, micro: (jax.tree.map(jnp.add, total, one(micro)), None), zeros, split)
  return apply(state, accumulated, optimizer=optimizer)


def jit_train_step(state: TrainState, **options) -> Callable:
  """`train_step` with its options bound, jitted, the state donated and kept in the shardings of `state`."""
  shardings = jax.tree.map(lambda x: x.sharding, state)
  return jax.jit(
    functools.partial(train_step, **options),
    donate_argnums=0,
    out_shardings=(shardings, None),
    compiler_options=sharding.compiler_options(),
  )


def accumulate(total, params, micros: dict, count, *, loss: Callable):
  """`gradients` summed over the first `count` micro-batches of arrays [n, rows, ...], added to `total` (None: zero).

  The number of micro-batches is a value, not a shape: padded to a few sizes n, no step compiles anything again, and
  what is padding is not computed.
  """
  one = lambda i: gradients(
    params, jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), micros), loss=loss
  )
  if total is None:
    total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(one, jnp.int32(0)))
  return jax.lax.fori_loop(0, count, lambda i, total: jax.tree.map(jnp.add, total, one(i)), total)


def jit_accumulate(params_shardings, loss: Callable) -> Callable:
  """`accumulate`, jitted: (total or None, params, micros, count) -> total. Nothing waits for the host."""
  function = lambda total, params, micros, count: accumulate(total, params, micros, count, loss=loss)
  return jax.jit(
    function,
    donate_argnums=0,
    out_shardings=(params_shardings, None, None),
    compiler_options=sharding.compiler_options(),
  )


def jit_map(function: Callable) -> Callable:
  """(params, micros, count) -> function(params, micro), float32 [rows, L], of the first `count` micro-batches."""

  @functools.partial(jax.jit, compiler_options=sharding.compiler_options())
  def mapped(params, micros, count):
    micro = lambda i: jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), micros)
    return jax.lax.fori_loop(
      0, count, lambda i, out: out.at[i].set(function(params, micro(i))), jnp.zeros(micros['tokens'].shape, jnp.float32)
    )

  return mapped


def jit_apply(state: TrainState, optimizer: optax.GradientTransformation) -> Callable:
  """`apply`, jitted, the state donated."""
  shardings = jax.tree.map(lambda x: x.sharding, state)
  return jax.jit(functools.partial(apply, optimizer=optimizer), donate_argnums=0, out_shardings=(shardings, None))
