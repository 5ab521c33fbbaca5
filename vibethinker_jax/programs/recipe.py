"""Which programs there are, and a whole config as the typed options of its stages, everything in it checked."""

from collections.abc import Iterator
import math

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import synthetic
from vibethinker_jax.data.files import rows
from vibethinker_jax.data.tokens import chat_template
from vibethinker_jax.eval import rewards
from vibethinker_jax.model import config as model_config
from vibethinker_jax.programs import distill, evaluate, filter as filter_lib, inputs, merge, probe, rl, sft
from vibethinker_jax.programs.stage import TokenizerOptions
from vibethinker_jax.verify import default

PROGRAMS = {
  'filter': filter_lib,
  'sft': sft,
  'probe': probe,
  'merge': merge,
  'rl': rl,
  'distill': distill,
  'evaluate': evaluate,
}
TRAINED = ('sft', 'merge', 'rl')  # programs that leave checkpoints
WRITING = ('filter', 'distill')  # programs that leave data
NAMES = ('scratch', 'base')  # models that no stage makes, see stage.open_model


def bind(config: dict, only: tuple[str, ...] = ()):
  """(Recipe, {stage: options}) with every field checked, also against those of other stages.

  Raises:
    ValueError: unknown stages, programs or fields, missing fields, values that are not allowed or contradict each
      other; all at once, a line each.
  """
  config, errors = config_lib.plain(config), []
  if isinstance(asked := config.get('chat_template_kwargs'), str):  # of a flag
    try:
      config['chat_template_kwargs'] = chat_template.parse(asked)
    except ValueError as error:
      config['chat_template_kwargs'] = {}
      errors.append(f'config.{error}')
  top = {name: config[name] for name in config_lib.Recipe._fields if name in config}
  recipe = config_lib.read(config_lib.Recipe, top, 'config', errors)
  names = top.get('stages', ())
  names = names if isinstance(names, tuple) and all(isinstance(name, str) for name in names) else ()
  extra = sorted(set(config) - set(top) - set(names)) if names else []
  if extra:
    hints = ''.join(config_lib.nearest(name, config_lib.Recipe._fields) for name in extra)
    errors.append(
      f'config: {extra} are neither top-level fields ({", ".join(config_lib.Recipe._fields)}) nor '
      f'stages {list(names)}{hints}'
    )
  unknown = sorted(set(only) - set(names)) if names else []
  if unknown:
    hints = ''.join(config_lib.nearest(name, names) for name in unknown)
    errors.append(f'--stages: {unknown} are not stages of this recipe; it has {", ".join(names)}{hints}')
  options = {name: _stage(config, name, errors) for name in names}
  if 'tokenizer' in top:
    config_lib.read(TokenizerOptions, top['tokenizer'], 'config.tokenizer', errors)
  if recipe and all(options.values()):
    errors += [f'{name}.{text}' for name in options for text in _in_recipe(name, recipe, options)]
    errors += _model(recipe, options)
    errors += _templates(recipe, options)
    errors += _profile(recipe, options)
  errors += [f'config.{text}' for text in _rewards(recipe)] if recipe else []
  config_lib.refuse(errors)
  return recipe, options


def check_mesh(options: dict, mesh) -> None:
  """Looks whether the batches of the stages can be divided over the mesh.

  Raises:
    ValueError: some cannot, a line each.
  """
  config_lib.refuse(
    [
      f'{name}.{text}'
      for name, values in options.items()
      if hasattr(values, 'misfits')
      for text in values.misfits(mesh)
    ]
  )


def _stage(config: dict, name: str, errors: list[str]):
  """The options of a stage; None where something is wrong."""
  if name in (*config_lib.Recipe._fields, *NAMES, 'init') or not name or set(name) & set('/@,. '):
    errors.append(
      f'config.stages: {name!r} cannot be the name of a stage: it names something else, or has a character '
      'that paths and lists divide'
    )
    return None
  if name not in config:
    errors.append(f'config: stage {name!r} has no sub-config of that name{config_lib.nearest(name, config)}')
    return None
  if not isinstance(config[name], dict):
    errors.append(f'{name}={config[name]!r} must be a sub-config')
    return None
  program = config[name].get('program')
  if not isinstance(program, str) or program not in PROGRAMS:
    errors.append(
      f'{name}.program={program!r} must be one of {", ".join(PROGRAMS)}{config_lib.nearest(program, PROGRAMS)}'
    )
    return None
  return config_lib.read(PROGRAMS[program].Options, config[name], name, errors)


def _in_recipe(name: str, recipe: config_lib.Recipe, options: dict) -> Iterator[str]:
  """What is wrong with a stage beside the other stages, a line each."""
  values = options[name]
  before = recipe.stages[: recipe.stages.index(name)]
  trained = [stage for stage in before if options[stage].program in TRAINED]
  for field, source in models(values):
    stage, _, step = source.partition('@')
    if stage not in recipe.stages:
      if field == 'models' and '/' in source:  # the name is that of a file, too
        yield f'{field}: {source!r} must be a stage before this one, or init: {_list(trained)}'
    elif stage not in trained:
      yield f'{field}: {source!r} must be a stage before this one that trains a model: {_list(trained)}'
    elif '@' in source and not _saves(options[stage], step):
      yield f'{field}: {source!r} must name a step at which {stage!r} keeps a checkpoint'
  for data in _data(values):
    if data.weights and values.program != 'sft':
      yield f'data.weights={data.weights} must be (): problems are drawn evenly, weights are of sft'
    written = [stage for stage in before if options[stage].program in WRITING]
    for entry in rows.entries(data.files):
      if entry in recipe.stages and entry not in written:
        yield f'data.files: {entry!r} must be a stage before this one that writes data: {_list(written)}'
  if values.program in ('probe', 'evaluate'):
    yield from inputs.lacking(values, recipe.domains)
  if values.program in ('probe', 'merge') and values.init_from not in trained:
    yield f'init_from={values.init_from!r} must be a stage before this one that trains a model: {_list(trained)}'
  if values.program == 'merge':
    probes = [stage for stage in before if options[stage].program == 'probe']
    if values.probe not in probes:
      yield f'probe={values.probe!r} must be a probe stage before this one: {_list(probes)}'
    else:
      probed = options[values.probe]
      if probed.init_from != values.init_from:
        yield f'init_from={values.init_from!r} must be what {values.probe!r} has probed: {probed.init_from!r}'
      if values.weights and not probed.data.files and len(values.weights) != len(recipe.domains):
        yield f'weights={values.weights} must be one number for each of config.domains={recipe.domains}, or ()'


def _list(names: list[str]) -> str:
  return ', '.join(names) or 'there is none'


def models(values) -> Iterator[tuple[str, str]]:
  """(field, what stage.open_model is to open) of a stage; of probe and merge it is more than a model."""
  if values.program in ('sft', 'rl', 'filter', 'distill'):
    yield 'init_from', values.init_from
  if values.program == 'distill':
    for domain, teacher in values.teachers.items():
      yield from ((f'teachers.{domain}.models', model) for model in teacher.models)
  if values.program == 'evaluate':
    yield from (('models', 'base' if model == 'init' else model) for model in values.models)


def no_verifier(recipe: config_lib.Recipe) -> list[str]:
  """A line for each function of config.verifier and config.rewards that has no module."""
  named = {name: f'rewards: {name!r}' for name, _ in recipe.rewards if ':' in name}
  named |= {recipe.verifier: f'verifier={recipe.verifier!r}'}
  return [f'config.{where}: {text}' for name, where in named.items() if (text := rewards.no_module(name))]


def _rewards(recipe: config_lib.Recipe) -> Iterator[str]:
  """What is wrong with config.rewards."""
  names = [name for name, _ in recipe.rewards]
  yield from (f'rewards: {text}' for text in rewards.mistakes(recipe.rewards))
  if names and recipe.verifier not in (default.NAME, *names):
    yield f'rewards={recipe.rewards} must name config.verifier={recipe.verifier!r} too: they stand in its place'


def _data(values) -> list:
  return [x.data for x in (values, *getattr(values, 'teachers', {}).values()) if hasattr(x, 'data')]


def _saves(values, step: str) -> bool:
  if not step.isdigit():
    return False
  if values.program == 'merge':
    return int(step) == 0
  if getattr(values, 'token_budget', 0):  # it may end before
    return False
  return int(step) == values.steps or (0 < int(step) < values.steps and int(step) % values.checkpoint_steps == 0)


def _model(recipe: config_lib.Recipe, options: dict) -> list[str]:
  """What is wrong with config.model: of models from scratch all fields are needed, of an imported base few may be
  set."""
  errors = []
  used = {source for values in options.values() for _, source in models(values)}
  scratch = 'scratch' in used or ('base' in used and recipe.base == 'scratch')
  if scratch:
    tokenizer = config_lib.read(TokenizerOptions, recipe.tokenizer, 'config.tokenizer', errors)
    vocabulary = tokenizer.vocab_size if tokenizer and not tokenizer.path else 1
    fields = dict(recipe.model)
    if type(fields.get('vocab_size', 0)) is int and fields.get('vocab_size', 0) == 0:
      fields['vocab_size'] = vocabulary
    model = config_lib.read(model_config.ModelConfig, fields, 'config.model', errors)
    if model and model.vocab_size < vocabulary:
      errors.append(
        f'config.model.vocab_size={model.vocab_size} must be 0, or at least the '
        f'config.tokenizer.vocab_size={vocabulary}'
      )
    if tokenizer and not tokenizer.path and not recipe.domains:
      errors.append('config.domains=() must name at least one for the problems that the tokenizer is trained on')
    if tokenizer and (not tokenizer.path or tokenizer.path.endswith('.model')):
      errors += [
        f'config.{name}={getattr(recipe, name)!r} does nothing for models from scratch: '
        f'{chat_template.NONE_OF_OURS} (config.tokenizer.path may name one that has)'
        for name in ('chat_template', 'chat_template_kwargs')
        if getattr(recipe, name)
      ]
  else:
    fields = {name: value for name, value in recipe.model.items() if (name, value) != ('vocab_size', 0)}
    config_lib.read(model_config.ModelConfig, fields, 'config.model', errors, partly=True)
  imported = recipe.base != 'scratch' and ('base' in used or not scratch)
  if imported and (fixed := sorted(set(recipe.model) - set(model_config.CONTEXT))):
    errors.append(
      f'config.model sets {fixed}, which config.base={recipe.base!r} fixes: of an imported base only '
      f'{", ".join(model_config.CONTEXT)} can be replaced'
    )
  return errors


def _templates(recipe: config_lib.Recipe, options: dict) -> list[str]:
  """Names of synthetic problems that there are not, or domains of which none is named."""
  known = {domain: [template.__name__ for template in found] for domain, found in synthetic.TEMPLATES.items()}
  errors = []
  for field, names in (('domains', set(known)), ('templates', {name for found in known.values() for name in found})):
    for name in getattr(recipe, field):
      if name not in names:
        errors.append(
          f'config.{field}: {name!r} must be one of {", ".join(sorted(names))}{config_lib.nearest(name, names)}'
        )
  asked = dict.fromkeys(recipe.domains, 'config.domains')
  for stage, values in options.items():
    for x in (values, *getattr(values, 'teachers', {}).values()):
      if hasattr(x, 'domains') and not x.data.files:
        asked = dict.fromkeys(x.domains, f'{stage}.domains') | asked
  for domain, where in asked.items():
    if recipe.templates and not set(recipe.templates) & set(known.get(domain, recipe.templates)):
      errors.append(
        f'config.templates={recipe.templates} must name at least one of {domain!r}, which {where} asks for: '
        f'{", ".join(known[domain])}'
      )
  return errors


def _profile(recipe: config_lib.Recipe, options: dict) -> list[str]:
  most = max((values.steps for values in options.values() if hasattr(values, 'steps')), default=math.inf)
  if recipe.profile_steps and recipe.profile_steps[0] > most:
    return [
      f'config.profile_steps={recipe.profile_steps} must begin at a step that there is: no stage has more than {most}'
    ]
  return []
