"""The claims about MGPO and the start of RL on the 1.5B: what a pod would have to do to repeat configs/study.py.

  python -m vibethinker_jax.plan --config=configs/study_1p5b.py --topology=v5e:4x4 --dollars_per_chip_hour=1.2
  python -m vibethinker_jax.study --config=configs/study_1p5b.py --workdir=gs://my-bucket/study

Data as for configs/vibethinker_1p5b.py. One SFT and one probing a seed; every arm then trains 400 steps of MGPO at 16K
and is evaluated on MATH-500 and the three competitions.
"""

import importlib.util
import pathlib

from ml_collections import config_dict

RECIPE = pathlib.Path(__file__).with_name('vibethinker_1p5b.py')


def get_config(arg='16'):
  """arg: devices, as of configs/vibethinker_1p5b.py."""
  spec = importlib.util.spec_from_file_location('vibethinker_1p5b', RECIPE)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  recipe = module.get_config(arg)
  recipe.stages = ('sft', 'probe', 'merge', 'rl_math_16k', 'evaluate_maths')
  for name in ('rl_math_32k', 'rl_code', 'evaluate_code', 'evaluate_math500'):
    del recipe[name]
  recipe.evaluate_maths.update(models=('merge', 'rl_math_16k'), samples=16, ks=(1, 8, 16))
  recipe.evaluate_maths.data.files += ',data/math500.jsonl'
  config = config_dict.ConfigDict(dict(recipe=recipe, seeds=(0, 1, 2), baseline='paper', reach=0.5, alpha=0.05))
  arm = lambda says, change: dict(says=says, change=change, seeds=0)
  loss = lambda **fields: dict(rl_math_16k=dict(loss=fields))
  in_order = lambda values: config_dict.ConfigDict(values, sort_keys=False)
  config.arms = in_order(
    {
      'paper': arm('fused specialists, MGPO (the recipe)', {}),
      'newest': arm('start: last checkpoint', dict(merge=dict(select='newest'))),
      'best_pass_1': arm('start: best Pass@1 checkpoint', dict(merge=dict(select='pass_1'))),
      'grpo': arm('GRPO: strength 0', loss(strength=0.0)),
      'relative': arm('weight over its mean', loss(relative_weight=True)),
      'dapo': arm(
        'DAPO', loss(strength=0.0, aggregation='token_mean', clip_high=0.28, overlong_cache=3072, mask_truncated=True)
      ),
    }
  )
  better = lambda says, first, second, metric='rl_math_16k.pass@1': dict(
    says=says, better=first, than=second, metric=metric
  )
  config.claims = in_order(
    {
      'fusion': better(
        'Fused specialists have a higher Pass@8 than the last checkpoint', 'paper', 'newest', 'merge.pass@8'
      ),
      'start': better('RL from the fused specialists ends higher than from the last checkpoint', 'paper', 'newest'),
      'start_pass_1': better(
        'RL from the fused specialists ends higher than from the best Pass@1 checkpoint', 'paper', 'best_pass_1'
      ),
      'mgpo': better('MGPO ends higher than GRPO', 'paper', 'grpo'),
      'mgpo_relative': better('MGPO with steps of the same size ends higher than GRPO', 'relative', 'grpo'),
      'mgpo_dapo': better('MGPO ends higher than DAPO', 'paper', 'dapo'),
    }
  )
  return config
