"""SFT step throughput: python tests/benchmarks/sft.py --shape=tiny"""

from vibethinker_jax import startup

startup.prepare()

import functools

from absl import app, flags
import jax
import jax.numpy as jnp
import numpy as np
import shapes

from vibethinker_jax import sharding
from vibethinker_jax.train import loss, optimizer as optimizer_lib, state as state_lib, step as step_lib

SHAPE = flags.DEFINE_enum('shape', 'tiny', list(shapes.SHAPES), 'Model shape.')
REPEATS = flags.DEFINE_integer('repeats', 8, 'Measured steps.')
MICRO = flags.DEFINE_integer('micro_batches', 4, 'Parts of the batch; on CPU smaller parts stay in the cache.')


def main(_):
  config, mesh = shapes.SHAPES[SHAPE.value], sharding.make_mesh()
  size = (shapes.BATCH, shapes.LENGTH)
  tokens = jnp.asarray(shapes.random_ids(config, *size, seed=2))
  batch = {'tokens': tokens, 'targets': jnp.roll(tokens, -1, axis=1), 'mask': jnp.ones(size, jnp.int32),
           'segment_ids': jnp.ones(size, jnp.int32),
           'positions': jnp.asarray(np.broadcast_to(np.arange(shapes.LENGTH, dtype=np.int32), size))}
  with jax.set_mesh(mesh):
    optimizer = optimizer_lib.adamw(1e-4, beta2=0.999, weight_decay=0.01)
    state = [state_lib.init(config, optimizer, mesh, key=jax.random.key(0))]
    step = step_lib.jit_train_step(state[0], optimizer=optimizer, micro_batches=MICRO.value,
                                   loss=functools.partial(loss.sft, config, unroll=True))

    def run():
      state[0], metrics = step(state[0], batch)
      jax.block_until_ready(metrics)

    median, times = shapes.seconds(run, REPEATS.value)
  count = shapes.BATCH * shapes.LENGTH
  shapes.emit(bench='sft', shape=SHAPE.value, step_s=round(median, 4), times=times, tok_per_s=round(count / median),
              gflops_6N=round(6 * shapes.matmul_weights(config) * count / median / 1e9, 1))


if __name__ == '__main__':
  app.run(main)
