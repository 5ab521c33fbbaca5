"""The disk of a recipe by stage, as `plan` and `main --rehearse` print it."""

import importlib.util
import math

import jax
import pytest

from vibethinker_jax import main
from vibethinker_jax.aot.programs import shapes
from vibethinker_jax.model import transformer
from vibethinker_jax.programs import recipe as recipe_lib, space


@pytest.fixture(scope='module')
def found(toy):
  """(bytes of the parameters, {stage: Space}) of the toy recipe."""
  recipe, options = recipe_lib.bind(toy.config())
  config = shapes.base(recipe).config
  numbers = sum(math.prod(x.shape) for x in jax.tree.leaves(transformer.shapes(config)))
  return 4 * numbers, {x.stage: x for x in space.of_recipe(recipe, options, config)}


def test_sft_keeps_all_parameters_and_two_optimizers(found):
  parameters, stages = found
  sft = stages['sft']  # 6 steps, a checkpoint every two
  assert (sft.checkpoints, sft.optimizers, sft.parameters) == (3, 2, parameters)
  assert 2 * parameters <= sft.optimizer < 2 * parameters + 100  # two moments in float32, and counters
  assert sft.kept == 3 * parameters + 2 * sft.optimizer and sft.most == 3 * parameters + 3 * sft.optimizer


def test_rl_keeps_two_checkpoints_and_merge_one(found):
  parameters, stages = found
  rl, merge = stages['rl_math_16k'], stages['merge']
  assert rl.kept == 2 * (parameters + rl.optimizer) and rl.most == 3 * (parameters + rl.optimizer)
  assert stages['rl_code'].optimizer < rl.optimizer * 0.51  # moments in bfloat16
  assert (merge.checkpoints, merge.optimizers, merge.kept, merge.most) == (1, 0, parameters, parameters)
  assert not {'probe', 'evaluate'} & stages.keys()


def test_some_stages_only(toy):
  recipe, options = recipe_lib.bind(toy.config())
  some = space.of_recipe(recipe, options, shapes.base(recipe).config, ('merge', 'rl_code'))
  assert [x.stage for x in some] == ['merge', 'rl_code']


def test_the_sum_and_the_most_of_a_run():
  """The most: what earlier stages keep, and a stage at its largest."""
  of = lambda name, kept, most: space.Space(name, 2, 1, 10**9, 0, kept * 10**9, most * 10**9)
  lines = space.table([of('a', 20, 50), of('b', 10, 15), of('c', 5, 6)]).splitlines()
  assert lines[1].split() == ['a', '2', '1.0', '1', '-', '20.0', '50.0']
  assert lines[-1].split()[-2:] == ['35.0', '50.0'] and len({len(line) for line in lines}) == 1
  assert space.table([of('a', 20, 25), of('b', 10, 40)]).split()[-2:] == ['30.0', '60.0']


def test_the_published_recipe_and_a_base_that_is_not_known(toy):
  spec = importlib.util.spec_from_file_location('paper', toy.CONFIG.with_name('vibethinker_1p5b.py'))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config().to_dict()
  table = main.room(config)
  [sft] = [line.split() for line in table.splitlines() if line.startswith('sft ')]
  assert sft[2:4] == ['6.2', '2'], table  # GB of 1.54 billion numbers in float32; optimizers
  assert 'is not known: config.base' in main.room(config | {'base': '/no/such/model'})
