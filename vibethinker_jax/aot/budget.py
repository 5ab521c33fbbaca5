"""Hours and cost of whole stages, from the estimates of their programs and assumptions that are printed with them."""

import math
from typing import NamedTuple

from vibethinker_jax import config as config_lib
from vibethinker_jax.aot import shapes

PAPER = {'hours': 3900, 'device': 'H800', 'dollars': 7800}  # VibeThinker-1.5B, the whole recipe


class Assumptions(NamedTuple):
  """What a config does not say.

  Attributes:
    dollars: per chip and hour; 0: no cost is printed.
    median_tokens: of a response if it had no limit; lengths are lognormal with a 95% quantile 3.6 times that.
    problems: of a problem set whose files are not here.
    rounds: rollout batches per step, to replace groups of equal rewards.
  """
  dollars: float = 0.0
  median_tokens: int = 6000
  problems: int = 1000
  rounds: float = 1.5


def plan(recipe: config_lib.Recipe, options: dict, model: shapes.Shape, results: list[dict], chips: int,
         assumptions: Assumptions) -> dict:
  """{stages: {name: {hours: [low, high], parts}}, hours, chip_hours, dollars, assumptions, notes, paper}."""
  stages = {}
  for name, values in options.items():
    mine = {x['program']: x for x in results if x['stage'] == name}
    parts = _parts(values, mine, assumptions)
    if parts:
      hours = sorted(sum(part['seconds'][i] for part in parts.values()) / 3600 for i in (0, 1))
      stages[name] = {'parts': parts, 'hours': hours}
  hours = [sum(stage['hours'][i] for stage in stages.values()) for i in (0, 1)]
  return {'assumptions': assumptions._asdict(), 'notes': notes(assumptions), 'stages': stages, 'hours': hours,
          'chip_hours': [x * chips for x in hours], 'dollars': [x * chips * assumptions.dollars for x in hours],
          'paper': PAPER}


def notes(assumptions: Assumptions) -> list[str]:
  """The assumptions as lines."""
  return ['the papers do not publish their budget of tokens: steps, batches and lengths are those of the config']


def _parts(options, programs: dict, assumptions: Assumptions) -> dict:
  """{part: {'seconds': [at the lower efficiency, at the higher], 'tokens'}} of a stage."""
  if any('estimate' not in x for x in programs.values()):
    return {}
  if options.program == 'sft':
    return {'train': _times(programs['sft_step'], options.steps)}
  return {}


def _times(program: dict, runs: float) -> dict:
  return {'seconds': [x * runs for x in program['estimate']['seconds']], 'tokens': program['tokens'] * runs}


def mean_tokens(median: float, limit: int) -> float:
  """Mean of lognormal lengths cut off at the limit."""
  sigma = math.log(3.6) / 1.645
  normal = lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2)))
  z = (math.log(limit) - math.log(median)) / sigma
  return median * math.exp(sigma**2 / 2) * normal(z - sigma) + limit * (1 - normal(z))
