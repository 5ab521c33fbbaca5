"""Decoding at full batch: python tests/benchmarks/decode.py --shape=1p5b --batch=64 --context=8192

Time between two contacts of the engine with the host, while all slots decode around position `context`: prefill, refill
and the tail are not in it. A step must read the weights once and every cached key and value of its sequences;
`bandwidth_share` is that, in bytes a second, of what the device's memory can do.
"""

from vibethinker_jax.runtime import startup

startup.prepare()

import statistics
import time

from absl import app, flags
import jax
import shapes

from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import compute_dtype
from vibethinker_jax.sampler import engine

SHAPE = flags.DEFINE_enum('shape', 'tiny', list(shapes.SHAPES), 'Model shape.')
BATCH = flags.DEFINE_integer('batch', 64, 'Sequences in flight.')
CONTEXT = flags.DEFINE_integer('context', 256, 'Tokens of a sequence in the middle of the measurement.')
CALLS = flags.DEFINE_integer('calls', 10, 'Measured runs of 16 steps.')
CACHE = flags.DEFINE_enum('cache', 'auto', ['auto', 'ring', 'pages'], 'Layout of the cache.')
CACHE_DTYPE = flags.DEFINE_enum('cache_dtype', 'auto', ['auto', 'int8'], 'Of pages.')
STEPS, GROUP = 16, 8


def main(_):
  config, mesh = shapes.SHAPES[SHAPE.value], sharding.make_mesh()
  new = STEPS * (CALLS.value + 3)
  length = CONTEXT.value - new // 2
  if BATCH.value % GROUP or length < 1:
    raise app.UsageError(f'--batch must be a multiple of {GROUP}, --context at least {new // 2 + 1}')
  prompts = shapes.random_ids(config, BATCH.value // GROUP, length).tolist()
  options = engine.Options(
    new,
    slots=BATCH.value,
    steps_per_call=STEPS,
    columns=length + new,
    prompt_columns=length,
    cache=CACHE.value,
    cache_dtype=CACHE_DTYPE.value,
  )
  contacts = {}

  def contact(prompt, response, tokens):
    del tokens
    if not prompt and not response:
      contacts.setdefault('times', []).append(time.perf_counter())

  with jax.set_mesh(mesh):
    params = transformer.init(config, jax.random.key(0))
    for _ in range(2):  # the first compiles
      contacts.clear()
      engine.generate(
        config,
        params,
        engine.Request(prompts, GROUP),
        options,
        key=jax.random.key(0),
        mesh=mesh,
        vocabulary=engine.Vocabulary(config.vocab_size, ()),
        callbacks=engine.Callbacks(on_tokens=contact),
      )
  times = contacts['times'][1:-1]
  step = statistics.median(b - a for a, b in zip(times, times[1:])) / STEPS
  size = compute_dtype().itemsize
  cached = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim  # numbers of a token
  entry = 1 + 4 / config.head_dim if CACHE_DTYPE.value == 'int8' else size  # a float32 scale for each vector
  moved = shapes.matmul_weights(config) * size + BATCH.value * CONTEXT.value * cached * entry
  _, bandwidth, source = shapes.peaks()
  shapes.emit(
    bench='decode',
    shape=SHAPE.value,
    batch=BATCH.value,
    context=CONTEXT.value,
    step_ms=round(step * 1e3, 3),
    tok_per_s=round(BATCH.value / step),
    gb_per_s=round(moved / step / 1e9, 1),
    bandwidth_share=round(moved / step / bandwidth, 3),
    peak_from=source,
  )


if __name__ == '__main__':
  app.run(main)
