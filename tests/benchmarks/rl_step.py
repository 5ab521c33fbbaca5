"""One on-policy GRPO step end to end: 8 prompts x 8 responses x 64 new tokens, a trivial reward.

python tests/benchmarks/rl_step.py

On an accelerator: --shape=1p5b --prompts=16 --group=16 --new=4096 --slots=256 --micro=8 --noshare_prompts
--remat=attention --unroll=false
"""

from vibethinker_jax.runtime import startup

startup.prepare()

import functools
import time

from absl import app, flags
import jax
import numpy as np
import shapes

from vibethinker_jax import sharding
from vibethinker_jax.model import transformer
from vibethinker_jax.rl import batch as batch_lib
from vibethinker_jax.rl.loss import LossOptions, mgpo_loss, spread, weighted_advantages
from vibethinker_jax.sampler import engine
from vibethinker_jax.train import optimizer as optimizer_lib, state as state_lib, step as step_lib

REPEATS = flags.DEFINE_integer('repeats', 10, 'Measured steps.')
SHAPE = flags.DEFINE_enum('shape', 'tiny', list(shapes.SHAPES), 'Model shape.')
PROMPTS = flags.DEFINE_integer('prompts', 8, 'Groups of a step.')
GROUP = flags.DEFINE_integer('group', 8, 'Responses to a prompt.')
NEW = flags.DEFINE_integer('new', 64, 'Tokens of a response at most.')
SLOTS = flags.DEFINE_integer('slots', 64, 'Sequences in flight.')
MICRO = flags.DEFINE_integer('micro', 17, 'Rows of a micro-batch; 17: two groups and a row of their two prompts.')
SHARE = flags.DEFINE_bool(
  'share_prompts', True, 'As config.rl.share_prompts; false: each response after its own prompt.'
)
REMAT = flags.DEFINE_string('remat', 'none', 'What the backward pass computes again, as in config.rl.remat.')
UNROLL = flags.DEFINE_bool('unroll', True, 'Layers one after another in the program; false: a loop over them.')


def main(_):
  config, mesh, new = shapes.SHAPES[SHAPE.value], sharding.make_mesh(), NEW.value
  columns = shapes.PROMPT_LENGTH + new
  rows = (
    dict(row_lengths=(new,), stem=shapes.PROMPT_LENGTH)
    if SHARE.value
    else dict(row_lengths=batch_lib.row_lengths(columns, 1024), stem=0)
  )
  prompts = shapes.random_ids(config, PROMPTS.value, shapes.PROMPT_LENGTH).tolist()
  options = engine.Options(new, slots=SLOTS.value, columns=columns, prompt_columns=shapes.PROMPT_LENGTH)
  loss_options = LossOptions(strength=4.0)
  with jax.set_mesh(mesh):
    optimizer = optimizer_lib.adamw(1e-4, beta2=0.999, weight_decay=0.01)
    state = [state_lib.init(config, optimizer, mesh, key=jax.random.key(0))]
    execution = transformer.Execution(remat=REMAT.value, unroll=UNROLL.value)
    loss = functools.partial(mgpo_loss, config, options=loss_options, execution=execution)
    shardings = jax.tree.map(lambda x: x.sharding, state[0].params)
    accumulate, apply = step_lib.jit_accumulate(shardings, loss), step_lib.jit_apply(state[0], optimizer)
    advantages = jax.jit(functools.partial(weighted_advantages, options=loss_options))
    calls, spans = [0], []

    def run():
      calls[0] += 1
      start = time.perf_counter()
      out = engine.generate(
        config,
        state[0].params,
        engine.Request(prompts, GROUP.value),
        options,
        key=jax.random.key(calls[0]),
        mesh=mesh,
        vocabulary=engine.Vocabulary(config.vocab_size, (1,)),
      )
      sampled = time.perf_counter()
      on = np.arange(new) < out.lengths_PG[..., None]
      rewards = (((out.tokens_PGL % 2 == 0) & on).sum(-1) / out.lengths_PG > 0.5).astype(np.float32)
      advantages_PG, _, _ = advantages(rewards, out.lengths_PG, np.ones(rewards.shape, bool))
      groups = batch_lib.Groups(prompts, out.tokens_PGL, out.logps_PGL, out.lengths_PG, np.ones(rewards.shape, bool))
      batches = batch_lib.rl_batches(groups, micro_batch=MICRO.value, **rows)
      total = None
      for arrays, count in batches:
        micros = jax.device_put(arrays)
        micros['advantages'] = spread(advantages_PG, micros['responses'], micros['mask'])
        total = accumulate(total, state[0].params, micros, count)
      state[0], metrics = apply(state[0], total)
      jax.block_until_ready(metrics)
      spans.append((sampled - start, time.perf_counter() - sampled, out.lengths_PG.sum()))

    median, times = shapes.seconds(run, REPEATS.value)
  rollout, train, tokens = np.median(spans[2:], axis=0)
  shapes.emit(
    bench='grpo',
    shape=SHAPE.value,
    tokens=int(tokens),
    step_s=round(median, 4),
    times=times,
    rollout_s=round(float(rollout), 4),
    train_s=round(float(train), 4),
  )


if __name__ == '__main__':
  app.run(main)
