"""The papers' claims at tiny size: where RL should start, what MGPO's weight is worth, which variants are better.

  python -m vibethinker_jax.study --config=configs/study.py --workdir=runs/study
  python -m vibethinker_jax.study --config=configs/study.py:quick --workdir=runs/quick   # 3 arms, 2 seeds, minutes

The recipe is that of configs/tiny.py with a shorter RL stage and small evaluations, so that eight seeds of all arms
take some hours on 2 cores. Arms differ from the baseline, the papers' recipe, in the fields that they name.

What it can see: over the first five seeds paired differences had a standard deviation of 1.4 points between two runs of
the recipe with other draws, 1.6 to 2.7 between starts. A claim of the main family, of ten, is found four times in five
where the true difference is 2.5 points (at 1.4) to 5.0 (at 2.7). One point would need more seeds.
"""

import importlib.util
import pathlib

from ml_collections import config_dict

RECIPE = pathlib.Path(__file__).with_name('tiny.py')


def recipe():
  """configs/tiny.py with one RL stage on maths."""
  spec = importlib.util.spec_from_file_location('tiny', RECIPE)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  config.stages = ('pretrain', 'sft', 'probe', 'merge', 'rl', 'evaluate')
  config.rl = config.rl_math_16k
  for name in ('rl_math_16k', 'rl_math_32k', 'rl_code'):
    del config[name]
  config.rl.sampler.max_tokens = 112
  config.rl.update(
    steps=20, prompts=16, learning_rate=4e-4, warmup_steps=2, micro_batch=8, checkpoint_steps=100, examples_steps=100
  )
  config.evaluate.update(models=('merge', 'rl'), problems=100, samples=8, ks=(1, 2, 4, 8))
  return config


def loss(**fields):
  return dict(rl=dict(loss=fields))


def get_config(arg=''):
  if arg not in ('', 'quick'):
    raise ValueError(f"configs/study.py: unknown argument {arg!r}; 'quick' is three arms and two seeds")
  config = config_dict.ConfigDict()
  config.recipe = recipe()
  config.seeds = tuple(range(8))
  config.baseline = 'paper'
  config.reach = 0.6
  config.alpha = 0.05
  arm = lambda says, change, seeds=0: dict(says=says, change=change, seeds=seeds)
  few = 5  # seeds
  starts = {  # (a) where RL starts
    'paper': arm('fused specialists, MGPO (the recipe)', {}),
    'best_pass_k': arm('start: best single Pass@K checkpoint', dict(merge=dict(select='pass_k'))),
    'best_pass_1': arm('start: best Pass@1 checkpoint', dict(merge=dict(select='pass_1'))),
    'newest': arm('start: last checkpoint', dict(merge=dict(select='newest'))),
    'newest_3': arm('start: average of the last three', dict(merge=dict(select='newest', newest=3))),
  }
  weights = {  # (b) the weight of MGPO
    'grpo': arm('GRPO: strength 0', loss(strength=0.0)),
    'strength_05': arm('strength 0.5', loss(strength=0.5)),
    'strength_1': arm('strength 1', loss(strength=1.0)),
    'strength_2': arm('strength 2', loss(strength=2.0)),
    'strength_8': arm('strength 8', loss(strength=8.0)),
    'target_25': arm('target 0.25', loss(target=0.25)),
    'target_75': arm('target 0.75', loss(target=0.75)),
    'relative': arm('weight over its mean', loss(relative_weight=True)),
  }
  # With one update a batch the ratio is 1 and no clipping acts: these have four. Responses of 56 tokens are long here.
  four = lambda **fields: dict(rl=dict(minibatches=4, loss=fields))
  variants = {
    'mgpo_4': arm('MGPO, four updates a batch', four()),
    'grpo_4': arm('GRPO, four updates a batch', four(strength=0.0)),
    'dr_grpo': arm('Dr.GRPO, four updates', four(strength=0.0, normalise='none', aggregation='constant')),
    'dapo': arm(
      'DAPO, four updates',
      four(strength=0.0, aggregation='token_mean', clip_high=0.28, overlong_cache=56, mask_truncated=True),
    ),
    'gspo': arm('GSPO, four updates', four(strength=0.0, ratio='sequence', clip_low=3e-4, clip_high=4e-4)),
  }
  short = config.recipe.rl.to_dict()
  short['sampler']['max_tokens'] = 56
  # Each stage filters prompts anew and begins with a new optimizer: what it is compared with has two stages, too.
  halves = lambda first: dict(
    stages=('pretrain', 'sft', 'probe', 'merge', 'rl_first', 'rl', 'evaluate'),
    rl_first=first | dict(steps=10),
    rl=dict(init_from='rl_first', steps=10),
  )
  again = dict(
    stages=('pretrain', 'sft', 'probe', 'merge', 'again', 'rl', 'evaluate'), again=config.recipe.merge.to_dict()
  )
  controls = {  # what the study itself is worth: nothing to be found, and something that has to be
    'again': arm('the recipe again, RL draws other problems (A/A)', again),
    'broken': arm('planted fault: a weight that is 0 for every group', loss(strength=1e6, target=0.37)),
  }
  others = {
    'progressive': arm('window 56, then 112 (half of the steps each)', halves(short), few),  # (c)
    'two_stages': arm('window 112 twice (half of the steps each)', halves(config.recipe.rl.to_dict()), few),
    'unfiltered': arm('prompts at 0 and 1 are not filtered out before', dict(rl=dict(filter_samples=0)), few),  # (e)
    'group_4': arm('groups of 4, twice the prompts', dict(rl=dict(group=4, prompts=32)), few),
    'group_16': arm('groups of 16, half of the prompts', dict(rl=dict(group=16, prompts=8)), few),
    'long2short': arm('brevity bonus 0.2', loss(long2short=0.2)),  # (f)
  }
  budget = {  # the same number of sampled tokens instead of steps
    'paper_tokens': arm('the recipe, a budget of tokens', dict(rl=dict(steps=60, token_budget=200_000)), few),
    'grpo_tokens': arm(
      'GRPO, a budget of tokens', dict(rl=dict(steps=60, token_budget=200_000, loss=dict(strength=0.0))), few
    ),
  }
  config.arms = in_order(starts | weights | variants | others | budget | controls)
  better = lambda says, first, second, metric='rl.pass@1', **more: dict(
    says=says, better=first, than=second, metric=metric, **more
  )
  claims = {
    'fusion_pass_k': better(
      'Fused specialists have a higher Pass@8 than the last checkpoint', 'paper', 'newest', 'merge.pass@8'
    ),
    'fusion_single': better(
      'Fused specialists have a higher Pass@8 than the best single checkpoint', 'paper', 'best_pass_k', 'merge.pass@8'
    ),
    'start_newest': better(
      'RL from the fused specialists ends higher than from the last checkpoint', 'paper', 'newest'
    ),
    'start_pass_1': better(
      'RL from the fused specialists ends higher than from the best Pass@1 checkpoint', 'paper', 'best_pass_1'
    ),
    'start_single': better(
      'RL from the fused specialists ends higher than from the best Pass@K checkpoint', 'paper', 'best_pass_k'
    ),
    'start_average': better(
      'RL from the fused specialists ends higher than from the average of the last three checkpoints',
      'paper',
      'newest_3',
    ),
    'mgpo': better('MGPO ends higher than GRPO', 'paper', 'grpo'),
    'mgpo_relative': better('MGPO with steps of the same size ends higher than GRPO', 'relative', 'grpo'),
    'mgpo_tokens': better(
      'MGPO ends higher than GRPO after the same number of sampled tokens', 'paper_tokens', 'grpo_tokens'
    ),
    'mgpo_dapo': better('MGPO ends higher than DAPO', 'mgpo_4', 'dapo', family='variants'),
    'mgpo_gspo': better('MGPO ends higher than GSPO', 'mgpo_4', 'gspo', family='variants'),
    'mgpo_dr_grpo': better('MGPO ends higher than Dr.GRPO', 'mgpo_4', 'dr_grpo', family='variants'),
    'mgpo_4': better(
      'MGPO with four updates a batch ends higher than GRPO with four', 'mgpo_4', 'grpo_4', family='variants'
    ),
    'window': better('A progressive window ends higher than the wide one', 'progressive', 'two_stages', family='rest'),
    'filtering': better('Filtering out prompts at 0 and 1 before RL ends higher', 'paper', 'unfiltered', family='rest'),
    'long2short_shorter': better(
      'The brevity bonus makes responses shorter',
      'long2short',
      'paper',
      'rl.tokens',
      direction='smaller',
      family='rest',
    ),
    'long2short_kept': better(
      'The brevity bonus costs at most two points', 'long2short', 'paper', margin=0.02, family='rest'
    ),
    'same': better(
      'The recipe ends higher than itself with other draws (must not be found)', 'paper', 'again', family='controls'
    ),
    'broken': better(
      'The recipe ends higher than with a broken weight (must be found)', 'paper', 'broken', family='controls'
    ),
    'spectrum': dict(  # (d) the principle itself
      says='Of these five starts one with a higher Pass@8 (on the probing problems) ends RL with a higher Pass@1',
      over=tuple(starts),
      metric='rl.pass@1',
      beside='merge.probed',
    ),
  }
  config.claims = in_order(claims)
  return quick(config) if arg else config


def in_order(values):
  """A ConfigDict sorts its names otherwise."""
  return config_dict.ConfigDict(values, sort_keys=False)


def quick(config):
  """The machinery of the study in minutes: nothing can be told from two seeds of a model that has learnt little."""
  few = lambda values, names: {name: values[name] for name in names}
  arms, claims = config.arms.to_dict(), config.claims.to_dict()
  config.seeds = (0, 1)
  config.arms = in_order(few(arms, ('paper', 'newest', 'grpo')))
  config.claims = in_order(few(claims, ('fusion_pass_k', 'start_newest', 'mgpo')))
  config.recipe.pretrain.update(steps=300, checkpoint_steps=300)
  config.recipe.sft.update(steps=90, checkpoint_steps=30)
  config.recipe.probe.problems = 20
  config.recipe.rl.update(steps=6, prompts=8)
  config.recipe.evaluate.problems = 20
  return config
