"""Hours and cost of whole stages, from the estimates of their programs and assumptions that are printed with them."""

import math
import pathlib
from typing import NamedTuple

import numpy as np

from vibethinker_jax import config as config_lib
from vibethinker_jax.aot.compilers.topology import Chip
from vibethinker_jax.aot.estimates import estimate, rollout
from vibethinker_jax.data.files import rows
from vibethinker_jax.rl import batch as batch_lib

PAPER = {'hours': 3900, 'device': 'H800', 'dollars': 7800}  # VibeThinker-1.5B, the whole recipe
# Problems of the papers' evaluation sets, by the names of their files.
SETS = {
  'aime24': 30,
  'aime25': 30,
  'hmmt25': 30,
  'math500': 500,
  'gpqa_diamond': 198,
  'livecodebench_v5': 279,
  'livecodebench_v6': 131,
}


class Assumptions(NamedTuple):
  """What a config does not say.

  Attributes:
    dollars: per chip and hour; 0: no cost is printed.
    median_tokens: of a response if it had no limit.
    problems: of a problem set whose files are not here and whose size is not known.
    rounds: rollout batches per RL step, to replace groups of equal rewards.
  """

  dollars: float = 0.0
  median_tokens: int = 6000
  problems: int = 5000
  rounds: float = 1.5


def plan(
  recipe: config_lib.Recipe,
  options: dict,
  names: list[str],
  results: list[dict],
  chip: Chip,
  devices: int,
  assumptions: Assumptions,
) -> dict:
  """{stages: {name: {hours: [low, high], parts}}, hours, training_hours, chip_hours, dollars, assumptions, notes,
  paper}.

  training_hours: of the stages other than evaluation.

  Args:
    options: of all stages, by name. names: the stages that were compiled; one with a program that did not fit has no
      hours.
  """
  stages, chips = {}, devices // chip.devices
  for name in names:
    mine = {x['program']: x for x in results if x['stage'] == name}
    if mine and all('estimate' in x for x in mine.values()):
      parts = _parts(recipe, options, options[name], mine, chip, devices, assumptions)
      hours = [sum(part['seconds'][i] for part in parts.values()) / 3600 for i in (0, 1)]
      stages[name] = {'parts': parts, 'hours': sorted(hours)}
  total = lambda names: [sum(stages[name]['hours'][i] for name in names) for i in (0, 1)]
  hours, training = total(stages), total([name for name in stages if options[name].program != 'evaluate'])
  return {
    'assumptions': assumptions._asdict(),
    'notes': notes(assumptions),
    'stages': stages,
    'hours': hours,
    'training_hours': training,
    'chip_hours': [x * chips for x in hours],
    'dollars': [x * chips * assumptions.dollars for x in hours],
    'paper': PAPER,
  }


def notes(assumptions: Assumptions) -> list[str]:
  """The assumptions as lines."""
  low, high = (f'{100 * x:.0f}%' for x in estimate.BANDWIDTHS)
  return [
    'the papers do not publish their budget of tokens: steps, batches and lengths are those of the config',
    f'responses have a median of {assumptions.median_tokens:,} tokens (lognormal, 95% quantile 3.6 times that), cut '
    'off at '
    'max_tokens (--median_tokens)',
    f'an RL step samples {assumptions.rounds} times its prompts, to replace groups of equal rewards (--rounds)',
    'an update trains on all responses of its prompts, packed into micro-batches as the run does it',
    f'problem sets that are not on this machine have {assumptions.problems:,} problems (--problems); AIME, HMMT, '
    'MATH-500, '
    'GPQA and LiveCodeBench their own number',
    f'decoding reaches {low} to {high} of HBM bandwidth; verification is hidden, loading, checkpoints and restarts '
    'are not '
    'counted',
  ]


def _parts(recipe, options: dict, stage, programs: dict, chip: Chip, devices: int, assumptions: Assumptions) -> dict:
  """{part: {seconds: [at the lower efficiency, at the higher], tokens}} of a stage."""
  if stage.program == 'sft':
    return {'train': _times(programs['sft_step'], stage.steps)}
  if stage.program == 'merge':
    return {}
  lengths = rollout.Lengths(assumptions.median_tokens, stage.sampler.max_tokens)
  sample = lambda count: _sample(programs, lengths, math.ceil(count), chip, devices)
  if stage.program == 'rl':
    responses = stage.prompts * stage.group
    parts = {'rollout': _scaled(sample(responses * assumptions.rounds), stage.steps)}
    if stage.filter_samples:
      parts['filter'] = sample(_problems(stage, recipe, assumptions) * stage.filter_samples)
    updates = _updates(programs, stage, lengths)
    times = {'score': stage.steps}  # before the updates, once; the gradients in each
    parts |= {name: _scaled(part, times.get(name, stage.steps * stage.updates)) for name, part in updates.items()}
    return parts
  if stage.program == 'probe':
    trained = options.get(stage.init_from)
    checkpoints = math.ceil(trained.steps / trained.checkpoint_steps) if trained else 1
    known = _problems(stage, recipe, assumptions)
    asked = min(known, 4 * stage.problems) if stage.data.files and stage.problems else known
    return {'rollout': _scaled(sample(asked * stage.samples), checkpoints)}
  if stage.program == 'evaluate':
    return {'rollout': _scaled(sample(_problems(stage, recipe, assumptions) * stage.samples), len(stage.models))}
  if stage.program == 'filter':
    return {'rollout': sample(assumptions.problems * stage.samples)} if stage.samples else {}
  count = sum(_problems(x, recipe, assumptions) * len(x.models) for x in stage.teachers.values()) * stage.samples
  scored = count * (lengths.sample(1000).mean() + rollout.PROMPT) / programs['score']['tokens']
  return {'rollout': sample(count), 'score': _times(programs['score'], scored)}


def _updates(programs: dict, stage, lengths: rollout.Lengths) -> dict:
  """{'mgpo_step': part, 'score': part} of one RL update: its responses packed into micro-batches as the run packs
  them."""
  documents = np.minimum(lengths.sample(stage.prompts * stage.group) + rollout.PROMPT, stage.row_length).astype(int)
  kinds = (stage.row_length,) if stage.share_prompts else batch_lib.row_lengths(stage.row_length, stage.shortest_row)
  micros = {length: len(found) for length, found in batch_lib.plan(documents, kinds, stage.micro_batch)}

  def part(name):
    kind = lambda length: programs[name if length == stage.row_length else f'{name}_{length}']['estimate']['seconds']
    seconds = [sum(count * kind(length)[i] for length, count in micros.items()) for i in (0, 1)]
    return {'seconds': seconds, 'tokens': float(documents.sum())}

  parts = {name: part(name) for name in ('score', 'mgpo_step') if name in programs}
  apply = programs['apply']['estimate']['seconds']
  parts['mgpo_step']['seconds'] = [x + stage.minibatches * y for x, y in zip(parts['mgpo_step']['seconds'], apply)]
  return parts


def _problems(stage, recipe, assumptions: Assumptions) -> int:
  """Of the problem set of a stage, or of one of its teachers."""
  if not stage.data.files:
    return stage.problems * len(getattr(stage, 'domains', recipe.domains) or recipe.domains)
  names = [pathlib.Path(entry).name.split('.')[0] for entry in rows.entries(stage.data.files)]
  return sum(SETS.get(name, assumptions.problems) for name in names)


def _sample(programs: dict, lengths: rollout.Lengths, responses: int, chip: Chip, devices: int) -> dict:
  """A batch of rollouts, dealt out evenly: what the device with the most takes."""
  decode = programs['decode']
  step = estimate.DecodeStep(**decode['decode_step'])
  drawn = lengths.sample(min(responses, 20_000))
  mine = np.resize(drawn, math.ceil(responses / devices))
  mine[0] = drawn.max()  # the longest is on some device
  one = lambda efficiency: lambda slots, tokens: step.seconds(tokens, chip, efficiency)
  seconds = [
    rollout.seconds(mine, decode['rows_per_device'], decode['cache_tokens'], one(efficiency))
    for efficiency in estimate.BANDWIDTHS
  ]
  return {'seconds': seconds, 'tokens': float(responses * drawn.mean())}


def _times(program: dict, runs: float) -> dict:
  return _scaled({'seconds': program['estimate']['seconds'], 'tokens': program['tokens']}, runs)


def _scaled(part: dict, times: float) -> dict:
  return {'seconds': [x * times for x in part['seconds']], 'tokens': part['tokens'] * times}
