"""A rehearsal is the recipe itself: the same stages and fields, and only sizes, models and files differ."""

import importlib.util
import pathlib

import pytest

from vibethinker_jax import config as config_lib
from vibethinker_jax.data.files import rows
from vibethinker_jax.programs import recipe, smaller

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
MAY_DIFFER = {
  *smaller.SIZES,
  'ks',
  'files',
  'init_from',
  'length',
  'row_length',
  'shortest_row',
  'columns',
  'prompt_columns',
  'cache_tokens',
  'problems',
}
NAMES = ('vibethinker_1p5b', 'vibethinker_3b')


def module(name: str):
  spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
  found = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(found)
  return found


def leaves(values: dict, path=()) -> dict:
  return {
    key: leaf
    for name, value in values.items()
    for key, leaf in (leaves(value, (*path, name)) if isinstance(value, dict) else {(*path, name): value}).items()
  }


@pytest.mark.parametrize('name', NAMES)
def test_only_sizes_models_and_files_differ(name):
  whole, small = (config_lib.plain(module(name).get_config(*arg)) for arg in ((), ('rehearsal',)))
  assert small['stages'] == whole['stages'] and small['rehearsal']
  for stage in whole['stages']:
    before, after = leaves(whole[stage]), leaves(small[stage])
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert {key[-1] for key in changed} <= MAY_DIFFER, stage
    assert all(after[key] <= before[key] for key in changed if type(before[key]) is int)
    assert {after[key] for key in changed if key[-1] == 'init_from'} <= {'base'}
  same = {'seed', 'verifier', 'correct_at', 'rewards', 'verify', 'sandbox', 'compilation_cache', 'hang_seconds'}
  assert all(small[field] == whole[field] for field in same)
  recipe.bind(small)


@pytest.mark.parametrize('name', NAMES)
def test_every_set_has_its_rows(name):
  whole, small = (leaves(config_lib.plain(module(name).get_config(*arg))) for arg in ((), ('rehearsal',)))
  files = {key: value for key, value in small.items() if key[-1] == 'files'}
  assert len(files) > 5
  for key, value in files.items():
    for entry, before in zip(rows.entries(value), rows.entries(whole[key])):
      assert entry == before if entry in whole[('stages',)] else len(rows.Rows(rows.paths(entry))) >= 2, entry


def test_a_recipe_of_another_kind():
  """tiny.py has no files; a stage of one's own, a model of another run, steps that the rehearsal does not keep."""
  config = config_lib.plain(module('tiny').get_config())
  config['rl_code'] |= dict(init_from='rl_math_32k@30', carry=2, oversample=1.5)
  config['rl_code'] |= dict(minibatches=16, updates=3)
  config['rl_code']['loss'] |= dict(overlong_cache=20, mask_truncated=True, ratio='sequence')
  config['merge']['weights'] = (0.2,) * 5
  config['other'] = dict(config['evaluate'], models=('init', 'rl_code@30', 'merge@0'), ks=(1, 4, 4))
  config['stages'] += ('other',)
  small = smaller.smaller(config, length=512)
  assert small['rl_code']['init_from'] == 'rl_math_32k@2' and small['merge']['weights'] == ()
  assert small['other']['models'] == ('init', 'rl_code@2', 'merge@0') and small['other']['ks'] == (1, 2)
  assert small['sft']['problems'] == small['evaluate']['problems'] == smaller.PROBLEMS
  assert small['rl_code']['minibatches'] == small['rl_code']['updates'] == 2
  assert small['rl_code']['loss'] == config['rl_code']['loss'] | dict(overlong_cache=8, mask_truncated=False)
  assert small['sft']['data'] == config['sft']['data']
  assert small['rl_code']['sampler']['columns'] == small['rl_code']['row_length'] == 512
  assert smaller._model('runs/old/sft', ('sft',)) == smaller._model('base', ('sft',)) == 'base'
  recipe.bind(small)


def test_a_wrong_argument():
  for name in NAMES:
    with pytest.raises(ValueError, match=f'{name}.py:rehersal: the argument is .*rehearsal'):
      module(name).get_config('rehersal')
