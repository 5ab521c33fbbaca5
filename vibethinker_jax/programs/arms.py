"""The arms of a study as one recipe: a stage that several arms have in common is run once for all of them.

An arm is the study's recipe with some fields changed. Its stages are those of its recipe with the names of what they
start from put in; two that are equal then (and stand at the same place, where what they draw depends on it) are the
same stage. So the union of all arms is a recipe like any other: the same workdir, checkpoints, journals and resumption,
on one device or a pod.
"""

from collections.abc import Iterator
import copy
import json
import re
from typing import Annotated, Literal, NamedTuple

from vibethinker_jax import config as config_lib
from vibethinker_jax.config import Count, NotNegative, Range
from vibethinker_jax.eval import trials
from vibethinker_jax.programs import recipe as recipe_lib

DRAWING = ('rl', 'filter', 'distill')  # programs whose random draws depend on the stage's place (stage.stage_key)
STAGES_ONLY = 'an arm changes stages, what is at the top level is that of every arm'


class Arm(NamedTuple):
  """One way to run the recipe.

  Attributes:
    change: fields of the recipe that differ, as nested sub-configs: {'rl': {'loss': {'strength': 0.0}}}; a stage that
      the recipe lacks, whole, with a list of `stages` that names it.
    says: what the page calls it; '' is its name.
    seeds: only so many of the study's, from the first; 0 is all.
  """

  change: dict = {}
  says: str = ''
  seeds: Count = 0


class Claim(NamedTuple):
  """A sentence that the study tests.

  Attributes:
    says: the sentence.
    metric: STAGE.NAME, such as 'rl.pass@1' (see eval.trials).
    better, than: two arms: the metric of the first is greater (or smaller, by `direction`).
    over, beside: instead of two arms, several of them, and a second metric that goes with the first from arm to arm.
    direction: 'greater' or 'smaller', of the first arm; of `beside` a correlation above or below 0.
    margin: by so much the first arm may be worse; 0: it must be better.
    family: claims of one family are corrected for their number together.
  """

  says: str
  metric: str
  better: str = ''
  than: str = ''
  over: tuple[str, ...] = ()
  beside: str = ''
  direction: Literal['greater', 'smaller'] = 'greater'
  margin: NotNegative = 0.0
  family: str = ''

  def conflicts(self) -> Iterator[str]:
    pair, many = (self.better, self.than), (self.over, self.beside)
    if not (all(pair) and not any(many) or len(self.over) > 2 and self.beside and not any(pair)):
      yield f'better={self.better!r}, than={self.than!r}: name two arms, or three in over=() and a metric beside'
    for name in ('metric', 'beside'):
      value = getattr(self, name)
      if value and not re.fullmatch(r'[^.]+\.[^.].*', value):
        yield f'{name}={value!r} must be STAGE.NAME, such as rl.pass@1'


class Study(NamedTuple):
  """Config of the `study` command.

  Attributes:
    recipe: the config of a recipe, as `main` takes it; its seed is not read.
    seeds: each arm is run with each of them; differences are paired by seed.
    arms: {name: Arm}.
    baseline: the arm that the others are compared with.
    claims: {name: Claim}.
    reach: accuracy of the rollouts (mean of eval.trials.WINDOW steps) whose price in tokens and seconds is reported.
    alpha: the chance to call a claim supported or refuted that is neither, over all claims of a family together.
  """

  recipe: dict
  seeds: tuple[Annotated[int, Range(ge=0, lt=2**32)], ...]
  arms: dict[str, Arm]
  baseline: str
  claims: dict[str, Claim] = {}
  reach: Annotated[float, Range(gt=0, lt=1)] = 0.5
  alpha: Annotated[float, Range(gt=0, lt=0.5)] = 0.05

  def conflicts(self) -> Iterator[str]:
    if len(self.seeds) < 2 or len(set(self.seeds)) < len(self.seeds):
      yield f'seeds={self.seeds} must be two different ones or more: intervals are over seeds'
    if self.baseline not in self.arms:
      yield f'baseline={self.baseline!r} is no arm of this study{config_lib.nearest(self.baseline, self.arms)}'
    for name in self.arms:
      if not re.fullmatch(r'[A-Za-z0-9_]+', name):
        yield f'arms: {name!r} must be of letters, digits and _: it becomes part of the names of directories'
    for name, claim in self.claims.items():
      for arm in filter(None, (claim and claim.better, claim and claim.than, *(claim.over if claim else ()))):
        if arm not in self.arms:
          yield f'claims.{name}: {arm!r} is no arm of this study{config_lib.nearest(arm, self.arms)}'


class Union(NamedTuple):
  """config: the recipe that runs all arms (without a seed of its own). names: {arm: {its stage: stage of the
  config}}; a stage `evaluate` of an arm has one of the config for each of its models: {'evaluate': {model: name}}.
  """

  config: dict
  names: dict[str, dict]


def bind(config: dict) -> tuple[Study, Union]:
  """The options of a study and the recipe of all its arms, everything checked.

  Raises:
    ValueError: wrong fields of the study, or of a recipe of an arm; a line each, with the arm.
  """
  study = config_lib.bind(Study, config, 'config')
  study = study._replace(arms={study.baseline: study.arms[study.baseline]} | study.arms)  # the first in every table
  errors = []
  for name, arm in study.arms.items():
    errors += [f'arms.{name}.change: {line}' for line in _unknown(study.recipe, arm.change)]
  config_lib.refuse(errors)
  for name, arm in study.arms.items():
    try:
      recipe_lib.bind(changed(study.recipe, arm.change))
    except ValueError as error:
      errors += [
        f'arms.{name}: {line.strip()}' for line in str(error).splitlines() if ' errors in the config' not in line
      ]
  config_lib.refuse(errors)
  joined = union(study)
  recipe_lib.bind(joined.config)
  config_lib.refuse([*_twice(study, joined), *_unmeasured(study, joined)])
  return study, joined


def changed(recipe: dict, change: dict) -> dict:
  """A copy of nested configs with some fields replaced."""
  result = dict(recipe)
  for name, value in change.items():
    old = result.get(name)
    result[name] = changed(old, value) if isinstance(value, dict) and isinstance(old, dict) else copy.deepcopy(value)
  return result


def _unknown(recipe: dict, change: dict) -> Iterator[str]:
  """What an arm may not change."""
  stages = change.get('stages', recipe.get('stages', ()))
  for name in change:
    if name != 'stages' and name not in stages:
      yield f'{name!r} is no stage of it{config_lib.nearest(name, stages)}: {STAGES_ONLY}'


def union(study: Study) -> Union:
  """One recipe with all stages of all arms, each once."""
  config = {name: value for name, value in study.recipe.items() if name not in study.recipe['stages']}
  known, order, names = {}, [], {}
  for arm, values in study.arms.items():
    recipe, mine = changed(study.recipe, values.change), {}
    for place, stage in enumerate(recipe['stages']):
      named = _renamed(recipe[stage], {name: new for name, new in mine.items() if isinstance(new, str)})
      parts = {model: named | {'models': (model,)} for model in named['models']} if 'models' in named else {'': named}
      found = {}
      for model, part in parts.items():
        own = place if part['program'] in DRAWING else None
        key = json.dumps([own, stage, part], sort_keys=True, default=str)
        if key not in known:
          known[key] = _free('-'.join(filter(None, (stage, model))), arm, config)
          config[known[key]] = part
          order.append((known[key], place))
        found[model] = known[key]
      mine[stage] = found[''] if '' in found else dict(zip(recipe[stage]['models'], found.values()))
    names[arm] = mine
  return Union(config | {'stages': tuple(name for name, _ in order), 'places': dict(order)}, names)


def _free(name: str, arm: str, taken: dict) -> str:
  """`name` of the first that has it, else with the arm's."""
  name = name.replace('@', '_')
  return name if name not in taken else f'{name}-{arm}'


def _renamed(stage: dict, new: dict[str, str]) -> dict:
  """A stage that names others of its arm by their names in the union."""
  source = lambda text: re.sub(r'^[^@]*', lambda found: new.get(found[0], found[0]), text)
  entries = lambda text: ','.join(new.get(entry.strip(), entry) for entry in text.split(','))
  result = dict(stage)
  for field in ('init_from', 'probe'):
    if isinstance(result.get(field), str):
      result[field] = source(result[field])
  if 'models' in result:
    result['models'] = tuple(source(model) for model in result['models'])
  if isinstance(result.get('data'), dict) and result['data'].get('files'):
    result['data'] = result['data'] | {'files': entries(result['data']['files'])}
  if 'teachers' in result:
    result['teachers'] = {domain: _renamed(teacher, new) for domain, teacher in result['teachers'].items()}
  return result


def stages_of(joined: Union, arm: str) -> list[str]:
  """The stages of the union that an arm needs, in order."""
  mine = {x for name in joined.names[arm].values() for x in (name.values() if isinstance(name, dict) else [name])}
  return [name for name in joined.config['stages'] if name in mine]


def seeds_of(study: Study, joined: Union) -> dict[str, int]:
  """{stage of the union: with how many seeds it is run}."""
  counts = {arm: values.seeds or len(study.seeds) for arm, values in study.arms.items()}
  return {
    name: max(counts[arm] for arm in study.arms if name in stages_of(joined, arm)) for name in joined.config['stages']
  }


def _twice(study: Study, joined: Union) -> Iterator[str]:
  """Models of an arm that two stages evaluate: their metrics would have the same names."""
  for arm in study.arms:
    known = {}
    for stage, models in joined.names[arm].items():
      for model in models if isinstance(models, dict) else ():
        if model in known:
          yield (
            f'arms.{arm}: {known[model]} and {stage} both evaluate {model!r}, and a study has one figure for it: give '
            'one stage both sets (data.files=A,B)'
          )
        known[model] = stage


def _unmeasured(study: Study, joined: Union) -> Iterator[str]:
  """Claims about what an arm does not measure."""
  for name, claim in study.claims.items():
    for metric in filter(None, (claim.metric, claim.beside)):
      for arm in claim.over or (claim.better, claim.than):
        known = _measured(joined, arm)
        # Without config.domains they are those of the files, which are not read here.
        if metric not in known and (joined.config.get('domains') or _without_domain(metric) not in known):
          yield (
            f'claims.{name}: arm {arm!r} has no {metric!r}{config_lib.nearest(metric, known)}; it has '
            f'{", ".join(x for x in known if x.count(".") == 1)}'
          )


def _without_domain(metric: str) -> str:
  stage, _, name = metric.partition('.')
  return f'{stage}.{name.rpartition(".")[2]}'


def _measured(joined: Union, arm: str) -> list[str]:
  """The metrics of an arm, see eval.trials."""
  found = []
  for stage, name in joined.names[arm].items():
    for model, part in name.items() if isinstance(name, dict) else ():
      passes = [f'pass@{k}' for k in joined.config[part]['ks']]
      found += [f'{model}.{x}' for x in (*passes, *trials.EVALUATED)]
      domains = joined.config.get('domains', ())
      found += [f'{model}.{domain}.{x}' for domain in domains for x in passes]
    if isinstance(name, str) and joined.config[name]['program'] == 'merge':
      found.append(f'{stage}.probed')
    if isinstance(name, str) and joined.config[name]['program'] == 'rl':
      found += [f'{stage}.{x}' for x in trials.TRAINED]
  return found
