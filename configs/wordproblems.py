"""SmolLM2-135M on arithmetic word problems, on a CPU: SFT on two paths a problem, probing by operation, fusion, MGPO.

  python launch/wordproblems.py data/wordproblems          # MAWPS and ASDiv-A for training, SVAMP as test: 5 files
  python -m vibethinker_jax.main --config=configs/wordproblems.py --workdir=runs/wordproblems

Not trained yet; three hours on 2 cores by an earlier try of its parts. The model comes from the Hugging Face Hub;
--config.base=FILE.gguf is another copy of it.
Then MGPO and GRPO with three seeds each from the fused model of that run:

  python -m vibethinker_jax.study --config=configs/wordproblems.py:study --workdir=runs/wordstudy \\
    --config.recipe.base=runs/wordproblems/merge
"""

import importlib.util
import pathlib

from ml_collections import config_dict

GSM8K = pathlib.Path(__file__).with_name('gsm8k.py')
DATA = 'data/wordproblems'


def get_config(arg=''):
  if arg not in ('', 'study'):
    raise ValueError(f"configs/wordproblems.py: unknown argument {arg!r}; 'study' is MGPO and GRPO with three seeds")
  return study() if arg else recipe()


def recipe():
  """configs/gsm8k.py with probing and fusion, short rows and small batches."""
  spec = importlib.util.spec_from_file_location('gsm8k', GSM8K)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  config.stages = ('sft', 'probe', 'merge', 'rl', 'evaluate')
  data = config.rl.data.to_dict()
  files = lambda names: data | dict(files=','.join(f'{DATA}/{name}.jsonl' for name in names.split()))
  sampler = config.rl.sampler.to_dict() | dict(
    max_tokens=96, slots=64, steps_per_call=8, columns=288, prompt_columns=192
  )
  # Three epochs: about 190 steps are one.
  config.sft.update(
    data=files('sft'),
    steps=570,
    batch_size=4,
    length=512,
    learning_rate=2e-4,
    final_learning_rate=2e-6,
    too_long='drop',
  )
  config.sft.update(checkpoint_steps=95)
  config.probe = config_dict.ConfigDict(
    dict(program='probe', init_from='sft', data=files('probe'), levels=(), problems=40, samples=8, k=8, sampler=sampler)
  )
  config.merge = config_dict.ConfigDict(
    dict(program='merge', init_from='sft', probe='probe', weights=(), select='specialists', newest=1)
  )
  config.rl.update(
    init_from='merge', data=files('rl'), steps=60, prompts=16, filter_samples=0, row_length=384, shortest_row=384
  )
  # Rows of responses and rows of two prompts: half of the positions that rows of prompt and response would have.
  config.rl.update(share_prompts=True, micro_batch=6, learning_rate=3e-6, sampler=sampler)
  config.evaluate.update(models=('merge', 'rl'), data=files('held_out svamp'), samples=2, ks=(1, 2), sampler=sampler)
  return config


def study():
  """RL alone, from one fused model: intervals are of what RL draws, on these test problems."""
  config = config_dict.ConfigDict(dict(seeds=(0, 1, 2), baseline='mgpo', reach=0.6, alpha=0.05))
  config.recipe = recipe()
  config.recipe.base = 'runs/wordproblems/merge'
  config.recipe.stages = ('rl', 'evaluate')
  for name in ('sft', 'probe', 'merge'):
    del config.recipe[name]
  config.recipe.rl.init_from = 'base'
  config.recipe.evaluate.models = ('init', 'rl')
  arm = lambda says, **loss: dict(says=says, change=dict(rl=dict(loss=loss)) if loss else {}, seeds=0)
  arms = {'mgpo': arm('MGPO, strength 2'), 'grpo': arm('GRPO: strength 0', strength=0.0)}
  config.arms = config_dict.ConfigDict(arms, sort_keys=False)
  better = lambda says, metric: dict(says=says, better='mgpo', than='grpo', metric=metric)
  config.claims = {
    'held_out': better('MGPO ends higher than GRPO on held-out problems', 'rl.held_out.pass@1'),
    'svamp': better('MGPO ends higher than GRPO on SVAMP', 'rl.svamp.pass@1'),
  }
  return config
