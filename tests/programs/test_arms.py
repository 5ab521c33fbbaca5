"""Arms of a study as one recipe."""

import importlib.util
import pathlib

import pytest

from vibethinker_jax import config as config_lib
from vibethinker_jax.programs import arms, recipe as recipe_lib


@pytest.fixture
def base(toy):
  c = toy.config()
  c['stages'] = ('sft', 'probe', 'merge', 'rl_math_16k', 'evaluate')
  c['evaluate'] = c['evaluate'] | {'models': ('merge', 'rl_math_16k')}
  return {name: value for name, value in c.items() if name not in ('rl_math_32k', 'rl_code')}


def study(base, changes, **rest):
  arms_ = {name: dict(change=change) for name, change in changes.items()}
  return dict(recipe=base, seeds=(0, 1), arms=arms_, baseline=next(iter(arms_), '')) | rest


GRPO = {'rl_math_16k': {'loss': {'strength': 0.0}}}
LAST = {'merge': {'select': 'newest'}}


def test_equal_stages_are_one(base):
  _, joined = arms.bind(study(base, {'first': {}, 'grpo': GRPO, 'last': LAST, 'again': {}}))
  assert joined.config['stages'] == (
    'sft', 'probe', 'merge', 'rl_math_16k', 'evaluate-merge', 'evaluate-rl_math_16k',
    'rl_math_16k-grpo', 'evaluate-rl_math_16k-grpo',
    'merge-last', 'rl_math_16k-last', 'evaluate-merge-last', 'evaluate-rl_math_16k-last',
  )  # fmt: skip
  assert joined.names['again'] == joined.names['first']
  assert joined.names['grpo']['evaluate'] == {'merge': 'evaluate-merge', 'rl_math_16k': 'evaluate-rl_math_16k-grpo'}
  assert arms.stages_of(joined, 'grpo') == [
    'sft', 'probe', 'merge', 'evaluate-merge', 'rl_math_16k-grpo', 'evaluate-rl_math_16k-grpo'
  ]  # fmt: skip


def test_stages_start_from_those_of_their_arm(base):
  _, joined = arms.bind(study(base, {'first': {}, 'last': LAST}))
  config = joined.config
  assert config['rl_math_16k-last'] == config['rl_math_16k'] | {'init_from': 'merge-last'}
  assert config['merge-last']['probe'] == 'probe' and config['merge-last']['select'] == 'newest'
  assert config['evaluate-merge-last']['models'] == ('merge-last',)
  recipe, _ = recipe_lib.bind(config)  # a recipe like any other
  assert recipe.places['rl_math_16k-last'] == recipe.places['rl_math_16k'] == 3


def test_data_of_a_stage_and_steps_are_named_anew(base):
  stage = {'init_from': 'sft@4', 'data': {'files': 'mine.jsonl, kept'}, 'teachers': {'x': {'models': ('sft', 'base')}}}
  renamed = arms._renamed(stage, {'sft': 'sft-a', 'kept': 'kept-a'})
  assert renamed == {
    'init_from': 'sft-a@4',
    'data': {'files': 'mine.jsonl,kept-a'},
    'teachers': {'x': {'models': ('sft-a', 'base')}},
  }


def test_an_arm_with_stages_of_its_own(base):
  more = {
    'stages': (*base['stages'][:-1], 'rl_more', 'evaluate'),
    'rl_more': base['rl_math_16k'] | {'init_from': 'rl_math_16k'},
  }
  more['evaluate'] = {'models': ('rl_math_16k', 'rl_more')}
  _, joined = arms.bind(study(base, {'first': {}, 'longer': more}))
  assert joined.config['rl_more']['init_from'] == 'rl_math_16k'
  assert 'evaluate-rl_more' in joined.config['stages']


@pytest.mark.parametrize(
  ('changes', 'rest', 'text'),
  [
    ({'a': {'merg': {'select': 'newest'}}}, {}, "arms.a.change: 'merg' is no stage of it (did you mean merge?)"),
    ({'a': {'model': {'hidden_size': 4}}}, {}, "arms.a.change: 'model' is no stage of it"),
    ({'a': {'merge': {'select': 'best'}}}, {}, "arms.a: merge.select='best' must be 'specialists'"),
    ({'a': {'merge': {'selct': 'newest'}}}, {}, 'arms.a: merge.selct is not a field'),
    ({'a b': {}}, {}, "arms: 'a b' must be of letters"),
    ({'grpo': {}}, {'baseline': 'gpro'}, "config.baseline='gpro' is no arm of this study (did you mean grpo?)"),
    ({}, {}, "config.baseline='' is no arm"),
    ({'a': {}}, {'seeds': (1,)}, 'config.seeds=(1,) must be two'),
    ({'a': {}}, {'seeds': (1, 1)}, 'config.seeds=(1, 1) must be two'),
    ({'a': {}}, {'reach': 1.5}, 'config.reach=1.5 must be'),
    (
      {'first': {}},
      {'claims': {'c': dict(says='x', metric='merge.pass@1', better='first', than='frist')}},
      "claims.c: 'frist' is no arm of this study (did you mean first?)",
    ),
    (
      {'a': {}, 'b': LAST},
      {'claims': {'c': dict(says='x', metric='rl.pass@1', better='a', than='b')}},
      "claims.c: arm 'a' has no 'rl.pass@1'",
    ),
    (
      {'a': {}},
      {'claims': {'c': dict(says='x', metric='pass@1', better='a', than='a')}},
      "metric='pass@1' must be STAGE",
    ),
    ({'a': {}}, {'claims': {'c': dict(says='x', metric='rl.pass@1', better='a')}}, 'name two arms'),
    (
      {'a': {}, 'b': LAST},
      {'claims': {'c': dict(says='x', metric='merge.pass@9', better='a', than='b')}},
      "arm 'a' has no 'merge.pass@9' (did you mean merge.pass@2?)",
    ),
    (
      {'a': {}, 'b': LAST, 'c': GRPO},
      {
        'claims': {
          'c': dict(says='x', metric='merge.pass@1', beside='merge.pass@2', over=('a', 'b', 'c'), better='a', than='b')
        }
      },
      'name two arms',
    ),
  ],
)
def test_mistakes(base, changes, rest, text):
  with pytest.raises(ValueError) as error:
    arms.bind(study(base, changes) | rest)
  assert text in str(error.value)


def shipped(name, *args):
  path = pathlib.Path(__file__).parents[2] / 'configs' / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(*args)


@pytest.mark.parametrize(
  'name, args, seeds',
  [('study', (), 8), ('study', ('quick',), 2), ('study_1p5b', (), 3), ('wordproblems', ('study',), 3)],
)
def test_the_shipped_studies_bind(name, args, seeds):
  options, joined = arms.bind(config_lib.plain(shipped(name, *args)))
  stages = joined.config['stages']
  assert len(options.seeds) == seeds and len(set(stages)) == len(stages)
  assert name == 'wordproblems' or stages.count('sft') == 1
  assert next(iter(options.arms)) == options.baseline
  assert options.claims and all(claim.says for claim in options.claims.values())


def test_domains_of_files_are_not_known_before():
  """Those of the claims are taken as they are, their Pass@K is not."""
  config = config_lib.plain(shipped('wordproblems', 'study'))
  config['claims'] = {'c': config['claims']['svamp'] | {'metric': 'rl.svamp.pass@3'}}
  with pytest.raises(ValueError, match=r"has no 'rl.svamp.pass@3'"):
    arms.bind(config)


def test_one_model_is_evaluated_once(base):
  twice = {'stages': (*base['stages'], 'more'), 'more': base['evaluate'] | {'models': ('merge',)}}
  with pytest.raises(ValueError, match="arms.two: evaluate and more both evaluate 'merge'"):
    arms.bind(study(base, {'first': {}, 'two': twice}))


def test_the_same_evaluation_at_another_place_is_one(base):
  """An arm with a stage more: what it evaluates besides was evaluated before."""
  short = base['rl_math_16k'] | {'steps': 3, 'warmup_steps': 0}
  more = {
    'stages': ('sft', 'probe', 'merge', 'rl_short', 'rl_math_16k', 'evaluate'),
    'rl_short': short,
    'rl_math_16k': {'init_from': 'rl_short'},
  }
  _, joined = arms.bind(study(base, {'first': {}, 'longer': more}))
  assert joined.names['longer']['evaluate']['merge'] == 'evaluate-merge'
  assert joined.config['places']['rl_math_16k-longer'] == 4


def test_a_checkpoint_is_evaluated_by_its_step(base):
  _, joined = arms.bind(study(base, {'first': {'evaluate': {'models': ('sft@4', 'rl_math_16k')}}}))
  assert joined.config['evaluate-sft_4']['models'] == ('sft@4',)
