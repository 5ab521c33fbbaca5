"""Which programs there are, and a whole config as the typed options of its stages."""

from vibethinker_jax import config as config_lib
from vibethinker_jax.programs import distill, evaluate, filter as filter_lib, merge, probe, rl, sft

PROGRAMS = {'filter': filter_lib, 'sft': sft, 'probe': probe, 'merge': merge, 'rl': rl, 'distill': distill,
            'evaluate': evaluate}


def bind(config: dict, only: tuple[str, ...] = ()):
  """(Recipe, {stage: options}) with every field checked.

  Raises:
    ValueError: unknown stages, programs or fields, missing or mistyped fields.
  """
  config = config_lib.plain(config)
  top = {name: config[name] for name in config_lib.Recipe._fields if name in config}
  recipe = config_lib.bind(config_lib.Recipe, top, 'config')
  steps = recipe.profile_steps
  if steps and (len(steps) != 2 or not all(type(x) is int for x in steps) or not 1 <= steps[0] <= steps[1]):
    raise ValueError(f'config.profile_steps={steps} must be the first and the last step to trace, such as (10, 12), or ()')
  extra = sorted(set(config) - set(top) - set(recipe.stages))
  if extra:
    raise ValueError(f'config: {extra} are neither top-level fields ({", ".join(config_lib.Recipe._fields)}) nor '
                     f'stages {list(recipe.stages)}')
  unknown = sorted(set(only) - set(recipe.stages))
  if unknown:
    raise ValueError(f'--stages: {unknown} are not stages of this recipe; it has {", ".join(recipe.stages)}')
  options = {}
  for name in recipe.stages:
    if name not in config:
      raise ValueError(f'config: stage {name!r} has no sub-config of that name')
    program = config[name].get('program')
    if program not in PROGRAMS:
      raise ValueError(f'{name}.program={program!r}: choose from {", ".join(PROGRAMS)}')
    options[name] = config_lib.bind(PROGRAMS[program].Options, config[name], name)
  return recipe, options
