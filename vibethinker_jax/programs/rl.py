"""Reinforcement learning with MGPO (VibeThinker-1.5B §3.4): amplify the signal in the spectrum that SFT left.

prompts -> rollouts, verified as they finish -> rewards [P, G] -> on device: group accuracy, entropy-deviation weight,
advantages -> packed rows -> update. On-policy by default: one update per rollout batch.
"""

from collections.abc import Callable, Iterator
import functools
import itertools
import logging
import time
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from vibethinker_jax import checkpoint, config as config_lib, sharding
from vibethinker_jax.config import AboveZero, Count, NotNegative, Positive, Range
from vibethinker_jax.data import sources, synthetic
from vibethinker_jax.eval import benchmarks
from vibethinker_jax.model import attention as attention_lib, transformer
from vibethinker_jax.programs import asked, examples as examples_lib, inputs, rollouts
from vibethinker_jax.programs.position import Fruitless, Position, refuse_idle
from vibethinker_jax.programs.stage import (
  Model,
  Stage,
  check_finite,
  check_room,
  finish,
  open_model,
  planned,
  progress,
  refuse_invalid,
  stage_key,
)
from vibethinker_jax.rl import batch as batch_lib, curriculum
from vibethinker_jax.rl.loss import LossOptions, mgpo_loss, spread, weighted_advantages
from vibethinker_jax.rl.penalty import entropy_bonus
from vibethinker_jax.runtime import hosts, metrics, timeline, watch
from vibethinker_jax.sampler import engine
from vibethinker_jax.train import loss as train_loss, optimizer as optimizer_lib, state as state_lib, step as step_lib

KEEP = 2  # checkpoints, the newest
LOG = logging.getLogger('vibethinker_jax')


class Options(NamedTuple):
  """Config of an `rl` stage.

  Attributes:
    program: 'rl'. init_from: see stage.open_model.
    data: files of problems (data.sources.read_problems) or stages that wrote some; without files, synthetic ones.
    domains, levels: of the synthetic problems; problems: per domain, before filtering.
    token_budget: the stage ends after the step in which so many tokens have been sampled in all, however few steps that
      took (to compare variants at equal cost); 0: no budget.
    steps: rollout batches. prompts: groups to train on per step (P); group: responses per prompt (G).
    max_rounds: rollouts per step at most, to replace groups of equal rewards: the bounded budget.
    filter_samples: responses per prompt to find its accuracy under the starting checkpoint; prompts at exactly 0 or 1
      are dropped (of graded rewards those where all are equal). 0: no filter.
    sampler: how to sample; temperature and top_p must be 1, top_k and min_p 0, else the ratio is biased.
    loss: variants of the objective.
    oversample: with 1.5, half as many prompts again are sampled at once, and the step goes on as soon as `prompts`
      groups are useful (which favours groups of short responses unless the others are carried on). 1: waits for all.
    carry: for how many updates unfinished or surplus groups are kept and go on; 0: they are given up. Tokens of an
      earlier policy keep their log-probabilities: the clipped ratio is theirs.
    updates: how often a rollout batch is gone through; minibatches: parts of its groups, each an update of its own. 1
      and 1 are on-policy.
    row_length, micro_batch: packed training rows, and how many of them go through the model at once.
    shortest_row: shorter responses are packed into rows of a half and a quarter of row_length, down to this; more of
      them go through the model at once. Attention then costs them less.
    share_prompts: the responses to a prompt share it: it goes through the model once in a micro-batch, not once for
      each response. Rows then hold responses alone (row_length at least max_tokens). Pays where prompts are not much
      shorter than responses; needs attention 'xla', and shortest_row is not used.
    learning_rate (constant after warmup_steps), beta2, weight_decay, clip_norm, moments_dtype: of AdamW, see sft.
    recompute_logps: the ratio's denominator is computed again by the trainer; the default takes the sampler's
      log-probabilities. The mismatch is logged either way (logp_gap).
    checkpoint_steps, remat, attention, unroll, max_skipped: as in sft.
    examples_steps: sampled groups are kept for the report every so many steps.
  """

  program: str
  init_from: str
  data: sources.DataOptions
  domains: tuple[Literal[synthetic.DOMAINS], ...]
  levels: tuple[Literal[synthetic.LEVELS], ...]
  problems: Count
  steps: Positive
  prompts: Positive
  group: Annotated[int, Range(ge=2, lt=2**31)]  # one response alone has no advantage
  sampler: engine.Options
  loss: LossOptions
  row_length: Positive
  micro_batch: Positive
  learning_rate: optimizer_lib.LearningRate
  checkpoint_steps: Positive
  token_budget: Count = 0
  max_rounds: Positive = 3
  oversample: Annotated[float, Range(ge=1)] = 1.0
  carry: Count = 0
  filter_samples: Literal[0] | Annotated[int, Range(ge=2, lt=2**31)] = 8  # of one the accuracy is always 0 or 1
  updates: Positive = 1
  minibatches: Positive = 1
  warmup_steps: Count = 0
  beta2: optimizer_lib.Beta = 0.95
  weight_decay: NotNegative = 0.0
  clip_norm: AboveZero = 1.0
  moments_dtype: Literal[optimizer_lib.MOMENTS] = 'float32'
  shortest_row: Positive = 1024
  share_prompts: bool = False
  recompute_logps: bool = False
  examples_steps: Positive = 10
  remat: Literal[tuple(transformer.REMAT_POLICIES)] = 'none'
  attention: Literal[attention_lib.IMPLEMENTATIONS] = 'auto'
  unroll: bool = False
  max_skipped: Positive = 5

  def execution(self) -> transformer.Execution:
    return transformer.Execution(self.attention, self.remat, self.unroll)

  def limit(self) -> int:
    """Tokens that a response may have where the loss reads it; else 0: stages of other windows compile the same."""
    return self.sampler.max_tokens if self.loss.aggregation == 'constant' or self.loss.overlong_cache else 0

  def conflicts(self) -> Iterator[str]:
    yield from inputs.lacking(self)
    sampler, prompt, response = self.sampler, self.sampler.prompt_columns, self.sampler.max_tokens
    drawn = (sampler.temperature, sampler.top_p, sampler.top_k, sampler.min_p)
    if drawn != (1, 1, 0, 0):
      yield (
        'sampler: training samples at temperature=1, top_p=1, top_k=0 and min_p=0; with {}, {}, {} and {} the policy '
        'ratio would be biased'.format(*drawn)
      )
    if self.carry and self.oversample == 1:
      yield f'carry={self.carry} needs oversample > 1, else every group is finished in its step'
    if self.warmup_steps > self.steps:
      yield f'warmup_steps={self.warmup_steps} must be at most steps={self.steps}'
    if self.minibatches > self.prompts:
      yield f'minibatches={self.minibatches} must be at most prompts={self.prompts}: each has a group'
    if self.loss.overlong_cache > response:
      yield f'loss.overlong_cache={self.loss.overlong_cache} must be at most sampler.max_tokens={response}'
    if not self.data.files and self.prompts > self.problems * len(set(self.domains)):
      yield (
        f'prompts={self.prompts} must be at most the {self.problems * len(set(self.domains))} problems that there are: '
        f'problems={self.problems} of each of the domains={self.domains}'
      )
    if sampler.cache_dtype == 'int8' and not self.loss.corrects():
      yield (
        "sampler.cache_dtype='int8': what is sampled then differs from what is trained; set loss.importance_cap (2.0 "
        'is usual) or loss.importance_band to correct for it'
      )
    if self.share_prompts and (
      not prompt
      or self.row_length < max(prompt, response)
      or self.micro_batch < 2
      or self.attention not in ('auto', 'xla')
    ):
      yield (
        f'share_prompts needs sampler.prompt_columns > 0, row_length of at least prompt_columns and '
        f"max_tokens={response}, micro_batch of at least 2, and attention 'auto' or 'xla'; these are "
        f'{prompt}, {self.row_length}, {self.micro_batch}, {self.attention!r}'
      )
    elif not self.share_prompts and self.row_length < prompt + response:
      yield (
        f'row_length={self.row_length} must be at least sampler.prompt_columns + max_tokens = {prompt + response}: a '
        'prompt and its response stand in one row'
      )

  def misfits(self, mesh) -> Iterator[str]:
    yield from inputs.rows_misfit(mesh, 'micro_batch', self.micro_batch)
    lengths = batch_lib.row_lengths(self.row_length, self.row_length if self.share_prompts else self.shortest_row)
    yield from inputs.positions_misfit(mesh, 'row_length', lengths, self.attention)
    if self.share_prompts and mesh.shape['context'] > 1:
      yield f'share_prompts needs mesh.context=1, it is {mesh.shape["context"]}'


class Functions(NamedTuple):
  """What a step computes on the devices.

  Attributes:
    accumulate: step.jit_accumulate of the loss. score: step.jit_map, log-probabilities of the targets.
    advantages: loss.weighted_advantages.
  """

  accumulate: Callable
  score: Callable
  advantages: Callable


@functools.lru_cache
def jitted(config, mesh, loss_options: LossOptions, execution: transformer.Execution, limit: int) -> Functions:
  """The functions that only depend on these: stages that share them compile once. limit: Options.limit."""
  shardings = sharding.tree_shardings(mesh, transformer.shapes(config))
  loss = functools.partial(mgpo_loss, config, options=loss_options, execution=execution, limit=limit)
  score = lambda params, batch: train_loss.token_scores(config, params, batch, execution)[0]
  return Functions(
    step_lib.jit_accumulate(shardings, loss),
    step_lib.jit_map(score),
    jax.jit(functools.partial(weighted_advantages, options=loss_options, limit=limit)),
  )


def run(stage: Stage, options: Options) -> dict:
  """Trains and returns the result: steps, prompts kept, histogram of group accuracies, first and last metrics."""
  started = time.time()
  model = open_model(stage, options.init_from)
  optimizer, schedule = make_optimizer(options)
  abstract = state_lib.abstract(model.config, optimizer, stage.mesh)
  check_room(stage, options, abstract, keep=KEEP, trains=None)
  state = state_lib.init(model.config, optimizer, stage.mesh, params=model.params)
  rows = starting_prompts(stage, options, model)
  reference = jax.tree.map(jnp.copy, model.params) if options.loss.kl else None
  model = model._replace(params=None)  # the state has a copy of its own
  directory = stage.directory / 'checkpoints'
  with checkpoint.Checkpoints(directory, keep=KEEP, model=model.saved()) as checkpoints, watch.deferred():
    state, at, carried = _restored(stage, options, checkpoints, abstract) or (
      state,
      Position(0, 0, np.zeros(options.group + 1, int), 0, 0, options.loss.entropy),
      rollouts.nothing(options),
    )
    functions = jitted(model.config, stage.mesh, options.loss, options.execution(), options.limit())
    apply = step_lib.jit_apply(state, optimizer)
    writer = metrics.Writer(stage.directory, at.step)
    examples = examples_lib.Examples(stage.directory / 'examples.jsonl', at.step)
    profile = timeline.Profile(stage.directory / 'profile', stage.recipe.profile_steps)
    bar = progress(options.steps, stage.name, at.step)
    stop = tired = False
    over = functools.partial(Position.done, steps=options.steps, token_budget=options.token_budget)
    while not over(at) and not stop and not tired:
      step = at.step + 1
      profile.before(step)
      hosts.reach(f'{stage.name} step {step}')
      clock = [time.perf_counter()]
      rollout, cursor, carried = rollouts.collect(
        stage, options, model._replace(params=state.params), rows, at.cursor, at.step, carried
      )
      clock.append(time.perf_counter())
      with timeline.phase('train'):
        bonus, coefficient = entropy_bonus(at.entropy, rollouts.entropy(rollout, options.loss), options.loss)
        state, trained, weight_P = learn(stage, options, functions, apply, state, (reference, bonus), rollout)
      clock.append(time.perf_counter())
      check_finite(stage, step, int(state.skipped), min(options.max_skipped, options.steps))
      at = at.after(cursor, rollout.sampled, trained['count'] > 0 and not int(state.skipped), coefficient)
      rollouts.warn_idle(stage, step, rollout.sampled)
      writer.write(
        step,
        {
          **trained,
          **rollouts.scalars(rollout, options, weight_P),
          'carried_groups': len(carried.indices_P),
          **({'entropy_weight': bonus} if options.loss.rewards_entropy() else {}),
          'seconds/train': clock[2] - clock[1],
          'seconds/step': clock[2] - clock[0],
          'learning_rate': schedule(max(at.made, 1) - 1),
        },
      )
      if step % options.examples_steps == 0 or step == 1:
        examples.write(step, rollout, weight_P)
      bar.set_postfix_str(rollout.summary(), refresh=False)
      bar.update(1)
      stop, tired = watch.preempted(step), at.tired()
      checkpoints.check()
      if step in planned(options) or stop or tired or over(at):
        if options.carry:
          rollouts.save(stage.directory, step, carried)
        state_lib.save(checkpoints, step, state, at.saved())
    profile.stop()
    for opened in (bar, writer, examples):
      opened.close()
    if stop:
      raise watch.Preempted(stage.name, at.step)
  refuse_idle(stage.name, at, done=over(at))
  result = {
    'steps': at.step,
    'prompts': len(rows),
    'group_accuracy_histogram': at.histogram.tolist(),
    'strength': options.loss.strength,
    'target': options.loss.target,
    'seconds': round(time.time() - started, 1),
  }
  finish(stage, result)
  return result


def _restored(stage: Stage, options: Options, checkpoints, abstract: state_lib.TrainState):
  """(state, position, carried groups) of the newest checkpoint, None if there is none."""
  found = state_lib.restore_newest(checkpoints, abstract)
  if found is None:
    return None
  step, state, saved = found
  at = Position(step, saved['cursor'], np.array(saved['histogram']), saved.get('idle', 0), saved.get('made', step))
  at = at._replace(entropy=saved.get('entropy', options.loss.entropy), tokens=saved.get('tokens', 0))
  return state, at, rollouts.load(stage.directory, step, options) if options.carry else rollouts.nothing(options)


def learn(stage: Stage, options: Options, functions: Functions, apply, state, beside, rollout: rollouts.Rollout):
  """The updates of one step, none where there is nothing to learn from: (state, metrics of the last, weight_P).

  Args:
    beside: the parameters that the KL divergence is to (or None), and the weight of the entropy.
  """
  reference, bonus = beside
  advantages_PG, _, weight_P = functions.advantages(**rollouts.padded(rollout, options))
  parts = [_batches(stage, options, rollout, advantages_PG, part) for part in range(options.minibatches)]
  for micros, count in itertools.chain(*parts):
    scored = dict(micros)
    if options.recompute_logps or options.loss.corrects():
      micros['policy_logps'] = functions.score(state.params, scored, count)
    if reference is not None:
      micros['reference_logps'] = functions.score(reference, scored, count)
    if options.loss.rewards_entropy():
      micros['entropy_weight'] = np.full(len(micros['tokens']), bonus, np.float32)
  trained = {'count': 0.0}
  for batches in options.updates * [part for part in parts if part]:
    total = None
    for micros, count in batches:
      total = functions.accumulate(total, state.params, micros, count)
    state, trained = apply(state, total)
  return state, jax.device_get(trained), jax.device_get(weight_P)


def make_optimizer(options: Options):
  """(AdamW, its schedule of learning rates by rollout batches that made updates)."""
  schedule = lambda step: options.learning_rate * jnp.minimum(1.0, (step + 1) / (options.warmup_steps + 1))
  updates = options.updates * options.minibatches
  return optimizer_lib.adamw(
    schedule if updates == 1 else lambda update: schedule(update // updates),
    beta2=options.beta2,
    weight_decay=options.weight_decay,
    clip_norm=options.clip_norm,
    moments_dtype=options.moments_dtype,
  ), schedule


def starting_prompts(stage: Stage, options: Options, model: Model) -> list[dict]:
  """The phase's prompts: those whose responses all earn the same under the starting checkpoint are dropped."""
  rows = inputs.problems(stage, options.data, 'rl', options.domains, options.levels, options.problems)
  asked.show(stage, model.tokenizer, asked.firsts(rows))
  if not options.filter_samples:
    return rows
  path = stage.directory / 'prompts.json'
  known = hosts.agreed(lambda: config_lib.read_json(path))
  if known is None:
    scored = benchmarks.sample_and_verify(
      model,
      rows,
      options.filter_samples,
      options.sampler,
      key=jax.random.fold_in(stage_key(stage), 0),
      mesh=stage.mesh,
      pool=stage.pool,
    )
    refuse_invalid(stage, 'finding prompts', *benchmarks.invalid_of(scored))
    differ_P = curriculum.useful_groups(scored.rewards_PG, scored.valid_PG)
    known = {'accuracy': rollouts.accuracy(scored.correct_PG, scored.valid_PG), 'differ': differ_P.tolist()}
    hosts.agreed(lambda: config_lib.write_json(path, known))
  kept = np.flatnonzero(known['differ']) if 'differ' in known else curriculum.keep_uncertain(known['accuracy'])
  if len(kept) < options.prompts and stage.recipe.rehearsal:
    LOG.info(
      'stage %s, rehearsal: all %d prompts are kept; the rewards of %d of them differ', stage.name, len(rows), len(kept)
    )
    return rows
  if len(kept) < options.prompts:
    raise Fruitless(
      f'stage {stage.name!r}: only {len(kept)} of {len(rows)} prompts have responses of different rewards (an '
      f'accuracy between 0 and 1) under {options.init_from!r}; {options.prompts} are needed per step. Take more '
      'problems, or '
      'easier or harder levels'
    )
  return [rows[i] for i in kept]


def _batches(stage: Stage, options: Options, rollout: rollouts.Rollout, advantages_PG, part: int):
  """rl.batch.rl_batches of one of the minibatches on the devices, with the advantage of each position's response
  gathered there."""
  if not rollout.rows:
    return []
  length = options.row_length
  lengths = (length,) if options.share_prompts else batch_lib.row_lengths(length, options.shortest_row)
  stem = length // (length // options.sampler.prompt_columns) if options.share_prompts else 0
  here_P1 = np.arange(len(rollout.rows))[:, None] % options.minibatches == part
  use_PG = rollouts.trainable(rollout, options.loss) & here_P1
  groups = batch_lib.Groups(rollout.prompts, rollout.tokens, rollout.logps, rollout.lengths, use_PG)
  batches = batch_lib.rl_batches(groups, row_lengths=lengths, micro_batch=options.micro_batch, stem=stem)
  placed = NamedSharding(stage.mesh, PartitionSpec(None, *sharding.batch_sharding(stage.mesh).spec))
  batches = [({name: sharding.place(x, placed) for name, x in arrays.items()}, count) for arrays, count in batches]
  return [
    (micros | {'advantages': spread(advantages_PG, micros['responses'], micros['mask'])}, count)
    for micros, count in batches
  ]
