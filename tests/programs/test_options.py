"""Every field of every option has its range or choices; a bad value is one line that names it. Nothing is computed
here."""

import dataclasses
import importlib.util
import math
import pathlib
import types
from typing import Annotated, Literal, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from vibethinker_jax import config as config_lib
from vibethinker_jax.model import config as model_config
from vibethinker_jax.programs import recipe
from vibethinker_jax.programs.stage import TokenizerOptions
from vibethinker_jax.runtime import values

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
ARGUMENTS = {'gsm8k': ('', 'runlocal'), 'tiny': (), 'vibethinker_1p5b': ('16', '8', '256'), 'vibethinker_3b': ()}
BAD = (-7, 0, 1, 9, 2**31, 2**32, 10**400, -1.5, 0.0, 0.5, 1.0, 3.5, 500.0, 1e300, math.nan, math.inf, -math.inf)


def load(name: str, *argument: str) -> dict:
  spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return config_lib.plain(module.get_config(*argument).to_dict())


SHIPPED = {
  f'{name}:{argument}': load(name, argument) if argument else load(name)
  for name, arguments in ARGUMENTS.items()
  for argument in (arguments or ('',))
}
# What no shipped config sets.
SCALING = dict(rope_type='yarn', factor=2.0, original_max_position_embeddings=64)
_RL = load('vibethinker_1p5b')
SHIPPED['vibethinker_1p5b:splash'] = _RL | {'rl_code': _RL['rl_code'] | {'attention': 'splash'}}
SHIPPED['tiny:yarn'] = load('tiny') | {'model': load('tiny')['model'] | {'rope_scaling': SCALING}}


def classes(hint) -> list:
  """The option class in a hint, also as the values of a dict."""
  return [
    x
    for x in (hint, *get_args(hint))
    if isinstance(x, type)
    and (hasattr(x, '_fields') or dataclasses.is_dataclass(x) or is_typeddict(x))
    and x is not config_lib.Range
  ]


def leaves(options: type, values: dict, path: tuple = ()):
  """(path in the config, type) of every field that is no sub-config, whether the config sets it or not."""
  for name, hint in get_type_hints(options, include_extras=True).items():
    inner = classes(hint)
    if inner and get_origin(hint) is dict:
      for key, value in values.get(name, {}).items():
        yield from leaves(inner[0], value, (*path, name, key))
    elif inner:
      yield from leaves(inner[0], values.get(name) or {}, (*path, name))
    else:
      yield (*path, name), hint


def fields(config: dict):
  """leaves of the whole config."""
  yield from ((path, hint) for path, hint in leaves(config_lib.Recipe, config) if path[0] not in ('model', 'tokenizer'))
  yield from leaves(TokenizerOptions, config.get('tokenizer', {}), ('tokenizer',))
  if config['base'] == 'scratch':
    yield from leaves(model_config.ModelConfig, config['model'], ('model',))
  for stage in config['stages']:
    yield from leaves(recipe.PROGRAMS[config[stage]['program']].Options, config[stage], (stage,))


def parts(hint) -> list:
  """A hint and all hints inside it."""
  inside = (
    get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint) if get_origin(hint) is not Literal else ()
  )
  return [hint, *(y for x in inside if x is not ... for y in parts(x))]


def numeric(hint) -> bool:
  return any(x in (int, float) or (get_origin(x) is Literal and type(get_args(x)[0]) is int) for x in parts(hint))


FIELDS = {(name, '.'.join(path)): (path, hint) for name, config in SHIPPED.items() for path, hint in fields(config)}
# A field is tried once for each program and class of model, not for every shipped config.
CHOSEN = {}
for (_name, _path), (_keys, _hint) in FIELDS.items():
  _program = SHIPPED[_name].get(_keys[0])
  _program = _program.get('program', _keys[0]) if isinstance(_program, dict) else _keys[0]
  CHOSEN.setdefault((_program, *_keys[1:]), (_name, _path))
NUMBERS = [key for key in CHOSEN.values() if numeric(FIELDS[key][1])]
CHOICES = [
  key
  for key in CHOSEN.values()
  if any(get_origin(x) is Literal and isinstance(get_args(x)[0], str) for x in parts(FIELDS[key][1]))
]
OTHERS = [key for key in CHOSEN.values() if key not in NUMBERS]


def changed(name: str, keys: tuple, value) -> dict:
  """A copy of a config with one field set, also where it is left to its default."""

  def put(values, keys):
    return values | {keys[0]: put(values.get(keys[0]) or {}, keys[1:]) if keys[1:] else value}

  return put(SHIPPED[name], keys)


def full(keys: tuple) -> str:
  return '.'.join(keys if keys[0] not in config_lib.Recipe._fields else ('config', *keys))


def refused(name: str, keys: tuple, value) -> str:
  """The lines about that field, which must be there, each a line of its own and with the value."""
  config = changed(name, keys, value)
  if keys[0] in SHIPPED[name]['stages']:  # the others take time
    config = {key: config[key] for key in (*config_lib.Recipe._fields, keys[0]) if key in config} | {'stages': keys[:1]}
  with pytest.raises(ValueError) as error:
    recipe.bind(config)
  lines = [line.strip() for line in str(error.value).splitlines()]
  mine = [line for line in lines if line.startswith(f'{full(keys)}=')]
  assert len(mine) == 1 and mine[0].startswith(f'{full(keys)}={value!r} must be '), lines
  return mine[0]


def bad_numbers(hint) -> list:
  """Of BAD what the type of a number, or of the numbers of a tuple, does not take."""
  return [
    value
    for value in BAD
    if not any(values.fits(x, value) for x in parts(hint) if x not in (int, float) and get_origin(x) is not tuple)
  ]


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_configs_bind(name):
  _, options = recipe.bind(SHIPPED[name])
  assert tuple(options) == SHIPPED[name]['stages']


def test_all_programs_and_many_fields_are_tried():
  assert {key[0] for key in CHOSEN} >= {*recipe.PROGRAMS, 'seed', 'mesh', 'model', 'tokenizer', 'profile_steps'}
  assert len(NUMBERS) > 120 and len(CHOICES) >= 25


@pytest.mark.parametrize('key', CHOSEN.values(), ids=str)
def test_every_number_has_its_range(key):
  """A new field without one fails here: int, float and tuple say too little."""
  hint = FIELDS[key][1]
  inside = parts(hint)
  bounded = [get_args(x)[0] for x in inside if get_origin(x) is Annotated]
  for plain in (int, float):
    assert inside.count(plain) == bounded.count(plain), f'{key}: {hint}'
  assert tuple not in inside, f'{key}: a tuple of what?'


@pytest.mark.parametrize('key', NUMBERS, ids=str)
def test_bad_numbers_are_refused(key):
  keys, hint = FIELDS[key]
  bad = bad_numbers(hint)
  assert {math.inf, -math.inf} <= set(bad) and math.nan in bad and len(bad) >= 5
  for value in [*bad, '3', None, True]:
    if (keys[-1], value) == ('vocab_size', 0):  # of a model: the tokenizer's
      continue
    refused(key[0], keys, value)
    if get_origin(hint) is tuple:
      refused(key[0], keys, (value,))
  for value in (-7, math.nan):  # neither a number nor a list of it
    if any(get_origin(x) is tuple for x in parts(hint)):
      refused(key[0], keys, (1, value))


@pytest.mark.parametrize('key', CHOICES, ids=str)
def test_unknown_words_are_refused_with_what_is_allowed(key):
  keys, hint = FIELDS[key]
  allowed = next(get_args(x) for x in parts(hint) if get_origin(x) is Literal)
  line = refused(key[0], keys, ('foo',) if get_origin(hint) is tuple else 'foo')
  assert all(repr(x) in line for x in allowed)


@pytest.mark.parametrize('key', OTHERS, ids=str)
def test_wrong_types_are_refused(key):
  keys, hint = FIELDS[key]
  if keys[-1] == 'program':
    with pytest.raises(ValueError, match=rf'{keys[0]}\.program=3 must be one of filter, sft'):
      recipe.bind(changed(key[0], keys, 3))
  else:
    refused(key[0], keys, 3)


def test_all_at_once():
  config = load('tiny')
  config['sft'] |= dict(
    learning_rate=-1.0,
    warmup_percent=500.0,
    clip_norm=-1.0,
    beta2=2.0,
    steps=0,
    checkpoint_steps=0,
    log_steps=0,
    micro_batches=3,
    remat='foo',
    levels=(9,),
    lerning_rate=1,
  )
  config['rl_code']['sampler'] |= dict(temperature=math.nan, columns=7)
  config |= dict(seed=-1, mesh=dict(data=0, fsdp=-1))
  with pytest.raises(ValueError) as error:
    recipe.bind(config)
  lines = [line.strip().split()[0] for line in str(error.value).splitlines()]
  assert lines[0] == '15' and sorted(lines[1:]) == sorted(
    [
      'config.seed=-1',
      'config.mesh.data=0',
      'sft.learning_rate=-1.0',
      'sft.warmup_percent=500.0',
      'sft.clip_norm=-1.0',
      'sft.beta2=2.0',
      'sft.steps=0',
      'sft.checkpoint_steps=0',
      'sft.log_steps=0',
      'sft.batch_size=16',
      "sft.remat='foo'",
      'sft.levels=(9,)',
      'sft.lerning_rate',
      'rl_code.sampler.temperature=nan',
      'rl_code.sampler.columns=7',
    ]
  )


RELATIONS = [
  ('sft.batch_size', 15, 'sft.batch_size=15 must be a multiple of streams=16', 'vibethinker_1p5b:16'),
  ('sft.micro_batches', 3, 'sft.batch_size=16 must be a multiple of micro_batches=3'),
  ('sft.final_learning_rate', 0.1, 'sft.final_learning_rate=0.1 must be at most learning_rate=0.0015'),
  ('sft.levels', (), 'sft.levels=() must name at least one'),
  ('sft.problems', 0, 'sft.problems=0 must be at least 1'),
  ('sft.domains', (), 'sft.domains=() must name at least one'),
  ('sft.data.weights', (1.0,), 'sft.data.weights=(1.0,) must be one number for each of the 0 entries'),
  ('rl_code.data', dict(files='x.jsonl', weights=(1.0,)), 'rl_code.data.weights=(1.0,) must be (): problems are drawn'),
  ('sft.data.files', 'rl_code', "sft.data.files: 'rl_code' must be a stage before this one that writes data"),
  ('sft_hard.data.files', 'distill', "sft_hard.data.files: 'distill' must be a stage before", 'vibethinker_3b:'),
  ('sft.init_from', 'rl_code', "sft.init_from: 'rl_code' must be a stage before this one"),
  ('merge.init_from', 'rl_code', "merge.init_from='rl_code' must be a stage before this one"),
  ('merge_hard.init_from', 'sft', "merge_hard.init_from='sft' must be what 'probe_hard' has probed", 'vibethinker_3b:'),
  ('merge.probe', 'sft', "merge.probe='sft' must be a probe stage before this one: probe"),
  ('merge.weights', (0.5, 0.6), 'merge.weights=(0.5, 0.6) must have the sum 1, not 1.1'),
  ('merge.weights', (0.5, 0.5), 'merge.weights=(0.5, 0.5) must be one number for each of config.domains'),
  ('rl_code.init_from', 'sft@37', "rl_code.init_from: 'sft@37' must name a step at which 'sft' keeps a checkpoint"),
  ('rl_code.init_from', 'probe', "rl_code.init_from: 'probe' must be a stage before this one that trains a model"),
  ('rl_code.warmup_steps', 31, 'rl_code.warmup_steps=31 must be at most steps=30'),
  ('rl_code.prompts', 201, 'rl_code.prompts=201 must be at most the 200 problems'),
  ('rl_code.carry', 1, 'rl_code.carry=1 needs oversample > 1'),
  ('rl_code.row_length', 159, 'rl_code.row_length=159 must be at least sampler.prompt_columns + max_tokens = 160'),
  ('rl_code.sampler.temperature', 0.5, 'rl_code.sampler: training samples at temperature=1'),
  ('rl_code.sampler.top_k', 20, 'rl_code.sampler: training samples at temperature=1, top_p=1, top_k=0 and min_p=0'),
  ('rl_code.sampler.min_p', 0.1, 'rl_code.sampler: training samples at temperature=1, top_p=1, top_k=0 and min_p=0'),
  (
    'rl_code.sampler.columns',
    159,
    'rl_code.sampler.columns=159 must be 0, or at least prompt_columns + max_tokens = 160',
  ),
  ('rl_code.sampler.cache_tokens', 159, 'rl_code.sampler.cache_tokens=159 must be 0, or at least 160'),
  ('rl_code.sampler.cache_dtype', 'int8', "rl_code.sampler.cache_dtype='int8': what is sampled then differs"),
  ('rl_code.minibatches', 25, 'rl_code.minibatches=25 must be at most prompts=24'),
  ('rl_code.loss.overlong_cache', 113, 'rl_code.loss.overlong_cache=113 must be at most sampler.max_tokens=112'),
  ('rl_code.loss.importance_band', (1.5, 5.0), 'rl_code.loss.importance_band=(1.5, 5.0) must be (low, high) around 1'),
  ('rl_code.loss.importance_band', (1.0, 1.0), 'rl_code.loss.importance_band=(1.0, 1.0) must be (low, high) around 1'),
  ('rl_code.loss', dict(importance_band=(0.5, 5.0)), None),
  (
    'rl_code.loss',
    dict(importance_band=(0.5, 5.0), importance_cap=5.0),
    'rl_code.loss.importance_cap=5.0 must be inside importance_band=(0.5, 5.0), or 0',
  ),
  ('rl_code.loss.kl_estimate', 'k1', "rl_code.loss.kl_estimate='k1' is read with kl > 0 only"),
  ('rl_code.loss.entropy_delta', 0.1, 'rl_code.loss.entropy_delta=0.1 is read with entropy_target > 0 only'),
  ('rl_code.loss.entropy_max', 0.1, 'rl_code.loss.entropy_max=0.1 is read with entropy_target > 0 only'),
  ('rl_code.loss', dict(entropy=0.1, entropy_target=0.2), 'rl_code.loss.entropy=0.1 must be at most entropy_max=0.005'),
  ('rl_code.loss', dict(entropy=0.001, entropy_target=0.2), None),
  ('rl_code.share_prompts', True, None),
  ('rl_code.share_prompts', True, 'rl_code.share_prompts needs sampler.prompt_columns > 0', 'vibethinker_1p5b:splash'),
  ('probe.k', 9, 'probe.k=9 must be at most samples=8'),
  ('probe.levels', (), 'probe.levels=() must name'),
  ('evaluate.ks', (1, 5), 'evaluate.ks=(1, 5): Pass@5 needs as many samples, there are samples=4'),
  ('evaluate.ks', (), 'evaluate.ks=() must name'),
  ('evaluate.models', (), 'evaluate.models=() must name'),
  ('evaluate.models', ('init', 'probe'), "evaluate.models: 'probe' must be a stage before this one that trains"),
  ('hard.data.files', '', 'hard.data needs files of traces', 'vibethinker_3b:'),
  ('distill.teachers', {}, 'distill.teachers needs at least one domain', 'vibethinker_3b:'),
  (
    'distill.min_response_tokens',
    70_000,
    'distill.min_response_tokens=70000 must be at most row_length',
    'vibethinker_3b:',
  ),
  ('distill.select.low_quantile', 0.96, 'distill.select.low_quantile=0.96 must be less than', 'vibethinker_3b:'),
  ('distill.select.length_bounds', (9, 5), 'distill.select.length_bounds=(9, 5) must ascend', 'vibethinker_3b:'),
  (
    'distill.teachers.maths.models',
    ('sft_distill',),
    "distill.teachers.maths.models: 'sft_distill' must be a stage before",
    'vibethinker_3b:',
  ),
  ('mesh', dict(data=-1, fsdp=-1), "config.mesh={'data': -1, 'fsdp': -1} must have at most one -1"),
  ('profile_steps', (5, 3), 'config.profile_steps=(5, 3) must be the first and the last'),
  ('profile_steps', (5000, 5001), 'config.profile_steps=(5000, 5001) must begin at a step that there is'),
  ('stages', (), 'config.stages=() must name at least one'),
  ('stages', ('sft', 'sft'), "config.stages=('sft', 'sft')"),
  ('stages', ('seed',), "config.stages: 'seed' cannot be the name of a stage"),
  ('sft', 3, 'sft=3 must be a sub-config'),
  (
    'sft.program',
    'sfft',
    "sft.program='sfft' must be one of filter, sft, probe, merge, rl, distill, evaluate (did you mean sft?)",
  ),
  ('domains', ('algebra', 'cod'), "config.domains: 'cod' must be one of algebra, calculus, code"),
  ('templates', ('mean', 'meen'), "config.templates: 'meen' must be one of"),
  ('templates', ('mean',), "config.templates=('mean',) must name at least one of 'algebra'"),
  ('model.num_key_value_heads', 2, 'config.model.num_attention_heads=3 must be a multiple of num_key_value_heads=2'),
  ('model.head_dim', 33, 'config.model.head_dim=33 must be even'),
  ('model.head_dims', 32, 'config.model.head_dims is not a field'),
  ('model.vocab_size', 100, 'config.model.vocab_size=100 must be 0, or at least the config.tokenizer.vocab_size=576'),
  ('model', {}, 'config.model.hidden_size is missing'),
  ('model.hidden_size', 8, "config.model sets ['hidden_size']", 'gsm8k:'),
  (
    'model.rope_scaling',
    dict(rope_type='yarn', factor=2.0),
    'config.model.rope_scaling.original_max_position_embeddings=0',
  ),
  (
    'model.rope_scaling',
    dict(rope_type='ntk', factor=2.0),
    "config.model.rope_scaling.rope_type='ntk' must be 'linear'",
  ),
  ('model.rope_theta', -1.0, 'config.model.rope_theta=-1.0 must be', 'gsm8k:'),
  ('tokenizer.levels', (), 'config.tokenizer.levels=() must name at least one'),
]


@pytest.mark.parametrize('relation', RELATIONS, ids=lambda r: f'{r[0]}={r[1]}')
def test_relations(relation):
  path, value, message, name = (*relation, 'tiny:')[:4]
  config = changed(name, tuple(path.split('.')), value)
  if message is None:
    recipe.bind(config)
    return
  with pytest.raises(ValueError) as error:
    recipe.bind(config)
  assert any(line.strip().startswith(message) for line in str(error.value).splitlines()), str(error.value)


@pytest.mark.parametrize(
  'path, value, shape, message',
  [
    ('sft.batch_size', 12, {'fsdp': 8}, 'sft.batch_size=12 must be a multiple of data x fsdp = 8'),
    ('sft.length', 161, {'context': 2}, 'sft.length=161 must be a multiple of context = 2'),
    ('sft.attention', 'triton', {'context': 2}, "sft.attention='triton' cannot split rows"),
    ('rl_code.micro_batch', 3, {'data': 2}, 'rl_code.micro_batch=3 must be a multiple of data x fsdp = 2'),
    ('rl_code.shortest_row', 40, {'context': 3}, 'rl_code.row_length=160 must be a multiple of context = 3'),
    ('rl_code.shortest_row', 40, {'context': 16}, r'(40, 80)'),
    ('rl_code.share_prompts', True, {'context': 2}, 'rl_code.share_prompts needs mesh.context=1'),
    ('sft.batch_size', 16, {'fsdp': 8}, ''),
  ],
)
def test_batches_must_fit_the_mesh(path, value, shape, message):
  mesh = types.SimpleNamespace(shape=dict(data=1, fsdp=1, tensor=1, context=1) | shape)
  _, options = recipe.bind(changed('tiny:', tuple(path.split('.')), value))
  if not message:
    recipe.check_mesh(options, mesh)
    return
  with pytest.raises(ValueError) as error:
    recipe.check_mesh({path.split('.')[0]: options[path.split('.')[0]]}, mesh)
  assert message in str(error.value)
