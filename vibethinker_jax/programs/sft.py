"""Supervised fine-tuning for a spectrum of solutions, with checkpoints to probe (VibeThinker-1.5B §3.3)."""

from collections.abc import Callable, Iterator
import functools
import time
from typing import Annotated, Literal, NamedTuple

import jax

from vibethinker_jax import checkpoint, sharding
from vibethinker_jax.config import AboveZero, Count, NotNegative, Positive, Range, Share
from vibethinker_jax.data import loader, sources, synthetic
from vibethinker_jax.data.tokens import chat
from vibethinker_jax.model import attention as attention_lib, transformer
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.programs import asked, inputs
from vibethinker_jax.programs.stage import Stage, check_finite, check_room, finish, open_model, planned, progress
from vibethinker_jax.runtime import hosts, metrics, timeline, watch
from vibethinker_jax.train import loss, optimizer as optimizer_lib, state as state_lib, step as step_lib

TRAINS = 2  # checkpoints, the newest, that keep their optimizer


class Options(NamedTuple):
  """Config of an `sft` stage.

  Attributes:
    program: 'sft'. init_from: see stage.open_model.
    data: files of examples (data.sources.DataOptions) or stages that wrote some; without files, synthetic problems.
    domains: of the synthetic problems, in turn: one that is named twice has twice the share.
    levels: difficulty levels of the synthetic problems. problems: size of the source (an epoch).
    steps: updates. batch_size: packed rows per update; length: positions per row.
    micro_batches: rows are processed in that many parts.
    too_long: of an example that does not fit a row: 'error', or 'drop' with a warning.
    streams: independent parts of the data, as many as hosts or a multiple: each host then reads only its own
      (data.loader.Batches).
    learning_rate, final_learning_rate: peak and end of the cosine; warmup_percent: of the steps, linear.
    beta2, weight_decay, clip_norm: of AdamW. moments_dtype: its moments are kept in 'float32' or 'bfloat16' (half the
      memory, rounded stochastically).
    checkpoint_steps: a checkpoint every so many updates (and at the end); all are kept, for probing, the optimizer of
      the last two.
    log_steps: a line of metrics every so many updates.
    remat: a name of model.transformer.REMAT_POLICIES. attention: a name of model.attention.IMPLEMENTATIONS.
    unroll: layers unrolled instead of scanned.
    max_skipped: give up after so many non-finite updates in a row.
  """

  program: str
  init_from: str
  data: sources.DataOptions
  domains: tuple[Literal[synthetic.DOMAINS], ...]
  levels: tuple[Literal[synthetic.LEVELS], ...]
  problems: Count
  steps: Positive
  batch_size: Positive
  length: Positive
  learning_rate: optimizer_lib.LearningRate
  final_learning_rate: Share
  warmup_percent: Annotated[float, Range(ge=0, le=100)]
  checkpoint_steps: Positive
  too_long: Literal[loader.TOO_LONG] = 'error'
  streams: Positive = 1
  micro_batches: Positive = 1
  beta2: optimizer_lib.Beta = 0.95
  weight_decay: NotNegative = 0.0
  clip_norm: AboveZero = 1.0
  moments_dtype: Literal[optimizer_lib.MOMENTS] = 'float32'
  log_steps: Positive = 10
  remat: Literal[tuple(transformer.REMAT_POLICIES)] = 'none'
  attention: Literal[attention_lib.IMPLEMENTATIONS] = 'auto'
  unroll: bool = False
  max_skipped: Positive = 10

  def execution(self) -> transformer.Execution:
    return transformer.Execution(self.attention, self.remat, self.unroll)

  def conflicts(self) -> Iterator[str]:
    yield from inputs.lacking(self)
    for name in ('micro_batches', 'streams'):
      if self.batch_size % getattr(self, name):
        yield f'batch_size={self.batch_size} must be a multiple of {name}={getattr(self, name)}'
    if self.final_learning_rate > self.learning_rate:
      yield (
        f'final_learning_rate={self.final_learning_rate} must be at most learning_rate={self.learning_rate}: it is '
        'the end of the cosine'
      )

  def misfits(self, mesh) -> Iterator[str]:
    yield from inputs.rows_misfit(mesh, 'batch_size', self.batch_size)
    yield from inputs.positions_misfit(mesh, 'length', (self.length,), self.attention)


def run(stage: Stage, options: Options) -> dict:
  """Trains and returns the result: steps, tokens, final loss, seconds."""
  model = open_model(stage, options.init_from)
  optimizer, schedule = make_optimizer(options)
  abstract = state_lib.abstract(model.config, optimizer, stage.mesh)
  check_room(stage, options, abstract, keep=None, trains=TRAINS)
  mixture = open_data(stage, options, model.tokenizer)
  placed = sharding.batch_sharding(stage.mesh)
  rows = sharding.rows_here(placed, options.batch_size)
  batches = loader.sft_batches(
    mixture,
    model.tokenizer,
    batch_size=options.batch_size,
    length=options.length,
    seed=stage.recipe.seed,
    too_long=options.too_long,
    streams=options.streams,
    rows=rows,
  )
  state = state_lib.init(model.config, optimizer, stage.mesh, params=model.params)
  model = model._replace(params=None)  # the state has a copy of its own
  directory = stage.directory / 'checkpoints'
  opened = checkpoint.Checkpoints(directory, keep=None, trains=TRAINS, model=model.saved())
  with opened as checkpoints, watch.deferred():
    if found := state_lib.restore_newest(checkpoints, abstract):
      _, state, position = found
      check_sizes(stage, mixture.sizes(), position)
      batches.set_state(position['batches'])
    train_step = make_step(model.config, state, optimizer, options)
    first = step = int(state.step)
    writer = metrics.Writer(stage.directory, step)
    profile = timeline.Profile(stage.directory / 'profile', stage.recipe.profile_steps)
    bar = progress(options.steps, stage.name, step)
    started, since, since_step, fetched, tokens, stop = time.time(), time.time(), step, None, 0, False
    while step < options.steps and not stop:
      profile.before(step + 1)
      with timeline.phase('idle') as loading:
        batch = next(batches)
        tokens += int((batch['segment_ids'] > 0).sum())
        batch = {name: sharding.place_rows(x, rows, placed, options.batch_size) for name, x in batch.items()}
        if fetched is not None and not fetched['loss'].is_ready():
          loading.name = 'train'  # the device was not waiting
      hosts.reach(f'{stage.name} step {step + 1}')
      with timeline.phase('train'):
        previous, (state, fetched) = fetched, train_step(state, batch)
        step += 1
        if previous is not None:  # one step late: fetching this step's numbers would stall the device
          jax.block_until_ready(previous)
        values = jax.device_get(fetched) if step % options.log_steps == 0 or step == options.steps else None
      if values is not None:
        check_finite(stage, step, int(state.skipped), min(options.max_skipped, options.steps))
        rate = (step - since_step) * options.batch_size * options.length / (time.time() - since)
        since, since_step = time.time(), step
        writer.write(step, {**values, 'learning_rate': schedule(step), 'tokens_per_second': rate})
        bar.set_postfix_str(f'loss {values["loss"]:.3f}, {rate:,.0f} tok/s', refresh=False)
      bar.update(1)
      stop = watch.preempted(step)
      checkpoints.check()
      if step in planned(options) or stop:
        state_lib.save(checkpoints, step, state, {'batches': _everywhere(batches), 'examples': mixture.sizes()})
    profile.stop()
    bar.close()
    writer.close()
    if stop:
      raise watch.Preempted(stage.name, step)
  result = {
    'steps': step,
    'final_loss': hosts.agreed(lambda: metrics.read(stage.directory)[-1]['loss']),
    'tokens_this_process': tokens,
    'seconds': round(time.time() - started, 1),
    'resumed_at': first,
  }
  finish(stage, result)
  return result


def open_data(stage: Stage, options: Options, tokenizer) -> loader.Mixture:
  """The examples to train on, checked; says what is asked (programs.asked)."""
  data = inputs.resolve(stage, options.data)
  examples = (
    sources.examples(data)
    if data.files
    else [
      sources.SyntheticExamples(
        options.domains, options.levels, stage.recipe.seed, options.problems, stage.recipe.templates, data
      )
    ]
  )
  hosts.agreed(lambda: chat.check_examples(tokenizer, examples, stage.name))
  asked.show(stage, tokenizer, asked.first_examples(examples))
  return loader.Mixture(examples, data.weights)


def check_sizes(stage: Stage, sizes: list[int], position: dict) -> None:
  """Raises ValueError where the data is not what it was when a checkpoint was written."""
  if position.get('examples', sizes) != sizes:
    raise ValueError(
      f'stage {stage.name}: its data has {sizes} examples now, {position["examples"]} when it was '
      'started: bring the old files back, or delete the stage to run it anew'
    )


def make_optimizer(options: Options):
  """(AdamW, its schedule of learning rates)."""
  schedule = optimizer_lib.schedule(
    options.learning_rate,
    options.final_learning_rate,
    round(options.steps * options.warmup_percent / 100),
    options.steps,
  )
  return optimizer_lib.adamw(
    schedule,
    beta2=options.beta2,
    weight_decay=options.weight_decay,
    clip_norm=options.clip_norm,
    moments_dtype=options.moments_dtype,
  ), schedule


def make_step(config: ModelConfig, state: state_lib.TrainState, optimizer, options: Options) -> Callable:
  """The jitted update (state, batch) -> (state, metrics); of `state` (it may be abstract) only the shardings count."""
  return step_lib.jit_train_step(
    state,
    optimizer=optimizer,
    micro_batches=options.micro_batches,
    loss=functools.partial(loss.sft, config, execution=options.execution()),
  )


def _everywhere(batches: loader.Batches) -> dict:
  """The position of the data: the streams of all hosts."""
  return {name: state for part in hosts.gather(batches.get_state()) for name, state in part.items()}
