"""Configs: every mistake is named before anything runs."""

import importlib.util
import json
import pathlib
from typing import NamedTuple

from ml_collections import config_dict
import pytest

from vibethinker_jax import config, main
from vibethinker_jax.programs.stage import TokenizerOptions

CONFIGS = sorted(
  p for p in (pathlib.Path(__file__).parents[1] / 'configs').glob('*.py') if not p.stem.startswith('study')
)


class Inner(NamedTuple):
  size: int
  name: str = 'x'


class Outer(NamedTuple):
  inner: Inner
  rate: float
  steps: int
  flag: bool = False
  names: tuple = ()


class Several(NamedTuple):
  parts: dict[str, Inner]


GOOD = dict(inner=dict(size=3), rate=0.5, steps=2)


def test_bind():
  assert config.bind(Outer, GOOD, 'x') == Outer(Inner(3), 0.5, 2)
  bound = config.bind(Outer, config_dict.ConfigDict(GOOD | dict(rate=1, names=['a', 'b'])), 'x')
  assert bound == Outer(Inner(3), 1.0, 2, False, ('a', 'b')) and type(bound.rate) is float


def test_bind_several_of_a_kind():
  assert config.bind(Several, dict(parts=dict(a=dict(size=1), b=dict(size=2, name='y'))), 'x') == Several(
    dict(a=Inner(1), b=Inner(2, 'y'))
  )
  message = r'(?s)x\.parts\.a\.sise is not.*x\.parts\.a\.size is missing.*x\.parts\.b=3 must'
  with pytest.raises(ValueError, match=message):
    config.bind(Several, dict(parts=dict(a=dict(sise=1), b=3)), 'x')
  with pytest.raises(ValueError, match=r'x\.parts=\(\) must be a sub-config'):
    config.bind(Several, dict(parts=()), 'x')


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(rat=1.0), r'x\.rat is not a field.*known: inner, rate'),
    (dict(steps=None), r'x\.steps=None'),
    (dict(steps=2.0), r'x\.steps=2\.0 must be an integer'),
    (dict(steps=True), r'x\.steps=True'),
    (dict(rate='0.1'), r"x\.rate='0\.1'"),
    (dict(flag=1), r'x\.flag=1'),
    (dict(names='ab'), r"x\.names='ab' must be a tuple"),
    (dict(inner={}), r'x\.inner\.size is missing'),
    (dict(inner=3), r'x\.inner=3 must be a sub-config'),
    (dict(inner=dict(size='3')), r"x\.inner\.size='3'"),
    (dict(inner=dict(size=3, sise=4)), r'x\.inner\.sise'),
  ],
  ids=str,
)
def test_bind_errors(change, message):
  with pytest.raises(ValueError, match=message):
    config.bind(Outer, GOOD | change, 'x')


def test_missing():
  with pytest.raises(ValueError, match=r'x\.steps is missing'):
    config.bind(Outer, {k: v for k, v in GOOD.items() if k != 'steps'}, 'x')


def test_all_errors_at_once():
  with pytest.raises(ValueError) as error:
    config.bind(Outer, dict(inner=dict(sizee=3), rate='fast', extra=1), 'x')
  for part in ('x.inner.sizee', 'x.inner.size is missing', 'x.rate', 'x.extra', 'x.steps is missing'):
    assert part in str(error.value)


def test_plain_and_fingerprint():
  values = config_dict.ConfigDict(dict(a=[1, 2], b=dict(c=(3, [4]))))
  assert config.plain(values) == {'a': (1, 2), 'b': {'c': (3, (4,))}}
  assert type(config.plain(values)['b']) is dict


def test_check_unchanged(tmp_path):
  path = tmp_path / 'deep' / 'config.json'
  values = dict(a=(1, 2), b=dict(c=0.1, d='x'))
  config.check_unchanged(path, values, 'this run')
  assert json.loads(path.read_text()) == {'a': [1, 2], 'b': {'c': 0.1, 'd': 'x'}}
  config.check_unchanged(path, values, 'this run')
  config.check_unchanged(path, config_dict.ConfigDict(values), 'this run')
  message = r"this run.*\n.*b\.c: 0\.1 -> 0\.2\n.*b\.e: '\(absent\)' -> 1\n.*workdir"
  with pytest.raises(ValueError, match=message):
    config.check_unchanged(path, dict(a=(1, 2), b=dict(c=0.2, d='x', e=1)), 'this run')
  assert json.loads(path.read_text())['b']['c'] == 0.1  # the old one stays
  assert [p.name for p in path.parent.iterdir()] == ['config.json']  # no temporary file is left


def load(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config()


@pytest.fixture(scope='module')
def tiny_config():
  return load(CONFIGS[[p.stem for p in CONFIGS].index('tiny')])


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_configs_bind(path):
  values = load(path)
  recipe, options = main.bind(values.to_dict())
  assert tuple(options) == recipe.stages == tuple(values.stages)
  config.bind(TokenizerOptions, recipe.tokenizer, 'tokenizer')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_configs_name_every_option(path):
  """A field that a config leaves to its default could not be set from the command line."""
  values = load(path)
  missing = []

  def compare(options, given, where):
    for name in options._fields:
      if name not in given:
        missing.append(f'{where}.{name}')
      elif hasattr(getattr(options, name), '_fields'):
        compare(getattr(options, name), given[name], f'{where}.{name}')
      elif isinstance(getattr(options, name), dict):
        for key, one in getattr(options, name).items():
          compare(one, given[name][key], f'{where}.{name}.{key}')

  recipe, options = main.bind(values.to_dict())
  for stage, bound in options.items():
    compare(bound, values[stage], stage)
  if 'tokenizer' in values:
    compare(TokenizerOptions(), values.tokenizer, 'tokenizer')
  assert missing == []


def changed(tiny_config, **changes):
  values = tiny_config.to_dict()
  for path, value in changes.items():
    *parents, last = path.split('__')
    at = values
    for name in parents:
      at = at[name]
    at[last] = value
  return values


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(sft__step=3), r'sft\.step is not a field'),
    (dict(rl_code__loss__strenght=1.0), r'rl_code\.loss\.strenght'),
    (dict(rl_code__sampler__slots='64'), r'rl_code\.sampler\.slots'),
    (dict(sft__program='sgd'), r"'sgd'.*evaluate"),
    (dict(stages=('sft', 'merg')), r"\['evaluate', 'merge'"),
    (dict(sede=1), r"\['sede'\].*neither"),
    (dict(seed='0'), r'config\.seed'),
  ],
  ids=str,
)
def test_recipe_errors(tiny_config, changes, message):
  with pytest.raises(ValueError, match=message):
    main.bind(changed(tiny_config, **changes))


def test_unknown_stages(tiny_config):
  with pytest.raises(ValueError, match=r"--stages: \['stf'\].*sft, probe"):
    main.bind(tiny_config.to_dict(), ('sft', 'stf'))


def test_stage_without_config(tiny_config):
  values = tiny_config.to_dict()
  del values['merge']
  with pytest.raises(ValueError, match="'merge' has no sub-config"):
    main.bind(values)


def test_missing_top_level(tiny_config):
  values = tiny_config.to_dict()
  del values['seed'], values['mesh']
  with pytest.raises(ValueError, match=r'(?s)config\.seed is missing.*config\.mesh is missing'):
    main.bind(values)
