"""Rollout throughput: python tests/benchmarks/rollout.py --shape=tiny --top_p=1.0"""

from vibethinker_jax.runtime import startup

startup.prepare()

import statistics

from absl import app, flags
import jax
import shapes

from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.sampler import engine

SHAPE = flags.DEFINE_enum('shape', 'tiny', list(shapes.SHAPES), 'Model shape.')
TOP_P = flags.DEFINE_float('top_p', 1.0, 'Nucleus.')
SLOTS = flags.DEFINE_integer('slots', 32, 'Sequences in flight.')
STEPS = flags.DEFINE_integer('steps_per_call', 16, 'Decode steps between host contacts.')
REPEATS = flags.DEFINE_integer('repeats', 5, 'Measured calls.')


def main(_):
  config, mesh = shapes.SHAPES[SHAPE.value], sharding.make_mesh()
  prompts = shapes.random_ids(config, shapes.PROMPTS, shapes.PROMPT_LENGTH).tolist()
  options = engine.Options(
    shapes.MAX_NEW,
    top_p=TOP_P.value,
    slots=SLOTS.value,
    steps_per_call=STEPS.value,
    columns=shapes.PROMPT_LENGTH + shapes.MAX_NEW,
    prompt_columns=shapes.PROMPT_LENGTH,
  )
  vocabulary = engine.Vocabulary(config.vocab_size, shapes.stop_ids(config))
  calls, out = [0], []
  with jax.set_mesh(mesh):
    params = transformer.init(config, jax.random.key(0))

    def run():
      calls[0] += 1
      out.append(
        engine.generate(
          config,
          params,
          engine.Request(prompts, shapes.GROUP),
          options,
          key=jax.random.key(calls[0]),
          mesh=mesh,
          vocabulary=vocabulary,
        )
      )

    median, times = shapes.seconds(run, REPEATS.value)
  out = out[-REPEATS.value :]
  tokens = [int(x.lengths_PG.sum()) for x in out]  # each call draws other lengths
  rate = statistics.median(n / t for n, t in zip(tokens, times))
  shapes.emit(
    bench='rollout',
    shape=SHAPE.value,
    top_p=TOP_P.value,
    sec=round(median, 4),
    times=times,
    useful_tok_per_s=round(rate),
    mean_len=round(statistics.mean(tokens) / out[0].lengths_PG.size, 1),
    utilisation=round(sum(tokens) / sum(x.row_steps for x in out), 3),
  )


if __name__ == '__main__':
  app.run(main)
