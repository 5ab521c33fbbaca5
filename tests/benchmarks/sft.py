"""SFT step throughput: python tests/benchmarks/sft.py --shape=tiny

On an accelerator: --shape=1p5b --rows=4 --length=32768 --micro_batches=4 --remat=attention --unroll=false
"""

from vibethinker_jax.runtime import startup

startup.prepare()

import functools

from absl import app, flags
import jax
import jax.numpy as jnp
import numpy as np
import shapes

from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.train import loss, optimizer as optimizer_lib, state as state_lib, step as step_lib

SHAPE = flags.DEFINE_enum('shape', 'tiny', list(shapes.SHAPES), 'Model shape.')
REPEATS = flags.DEFINE_integer('repeats', 8, 'Measured steps.')
MICRO = flags.DEFINE_integer('micro_batches', 4, 'Parts of the batch; on CPU smaller parts stay in the cache.')
ROWS = flags.DEFINE_integer('rows', shapes.BATCH, 'Rows of a batch.')
LENGTH = flags.DEFINE_integer('length', shapes.LENGTH, 'Tokens of a row.')
REMAT = flags.DEFINE_string('remat', 'none', 'What the backward pass computes again, as in config.sft.remat.')
UNROLL = flags.DEFINE_bool('unroll', True, 'Layers one after another in the program; false: a loop over them.')


def main(_):
  config, mesh = shapes.SHAPES[SHAPE.value], sharding.make_mesh()
  size = (ROWS.value, LENGTH.value)
  tokens = jnp.asarray(shapes.random_ids(config, *size, seed=2))
  batch = {
    'tokens': tokens,
    'targets': jnp.roll(tokens, -1, axis=1),
    'mask': jnp.ones(size, jnp.int32),
    'segment_ids': jnp.ones(size, jnp.int32),
    'positions': jnp.asarray(np.broadcast_to(np.arange(LENGTH.value, dtype=np.int32), size)),
  }
  with jax.set_mesh(mesh):
    execution = transformer.Execution(remat=REMAT.value, unroll=UNROLL.value)
    optimizer = optimizer_lib.adamw(1e-4, beta2=0.999, weight_decay=0.01)
    state = [state_lib.init(config, optimizer, mesh, key=jax.random.key(0))]
    step = step_lib.jit_train_step(
      state[0],
      optimizer=optimizer,
      micro_batches=MICRO.value,
      loss=functools.partial(loss.sft, config, execution=execution),
    )

    def run():
      state[0], metrics = step(state[0], batch)
      jax.block_until_ready(metrics)

    median, times = shapes.seconds(run, REPEATS.value)
  count, flops = ROWS.value * LENGTH.value, shapes.training_flops(config, *size)
  peak, _, source = shapes.peaks()
  shapes.emit(
    bench='sft',
    shape=SHAPE.value,
    rows=ROWS.value,
    length=LENGTH.value,
    step_s=round(median, 4),
    times=times,
    tok_per_s=round(count / median),
    gflops_6N=round(6 * shapes.matmul_weights(config) * count / median / 1e9, 1),
    gflops=round(flops / median / 1e9, 1),
    mfu=round(flops / median / peak, 3),
    peak_gflops=round(peak / 1e9),
    peak_from=source,
  )


if __name__ == '__main__':
  app.run(main)
