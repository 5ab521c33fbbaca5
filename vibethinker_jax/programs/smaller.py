"""A recipe made small enough to be tried in minutes: every stage, field and wording stays, only sizes change.

`smaller` goes by the names of fields, whatever stage they are in: a stage that is added to a recipe is rehearsed by
itself. The model is random and its steps are few, so what only a trained model gives is not insisted on
(Recipe.rehearsal).
"""

import os

from ml_collections import config_dict

from vibethinker_jax import config as config_lib

TOKENS = 8  # of a response
LENGTH = 1024  # of a packed row, and of a prompt with its response: far more than the rows of configs/rehearsal have
# The least of each number and what a recipe has. Shapes are the same in all stages, so that each program compiles once.
SIZES = dict(
  steps=2,
  checkpoint_steps=1,
  log_steps=1,
  examples_steps=1,
  warmup_steps=1,
  updates=2,
  minibatches=2,
  batch_size=8,
  micro_batches=2,
  streams=1,
  micro_batch=8,
  prompts=2,
  group=2,
  samples=2,
  k=2,
  filter_samples=2,
  max_tokens=TOKENS,
  overlong_cache=TOKENS,
  steps_per_call=8,
  slots=8,
  chunk=8,
  min_response_tokens=1,
)
MODEL = dict(
  vocab_size=0,
  hidden_size=16,
  num_hidden_layers=1,
  num_attention_heads=2,
  num_key_value_heads=1,
  head_dim=8,
  intermediate_size=24,
  rope_theta=10_000.0,
  rms_norm_eps=1e-6,
  attention_bias=True,
  tie_word_embeddings=True,
  initializer_range=0.02,
)
TOKENIZER = dict(path='', vocab_size=400, problems=300, levels=(1,))
DOMAINS = ('algebra', 'geometry', 'calculus', 'statistics', 'code')  # of the problems that the tokenizer is trained on
PROBLEMS = 4  # synthetic ones of a domain


def rehearsal(config: config_dict.ConfigDict, folder) -> config_dict.ConfigDict:
  """What get_config('rehearsal') of a config file returns: its recipe, smaller, on the rows of a folder."""
  return config_dict.ConfigDict(smaller(with_rows(config_lib.plain(config), folder)))


def smaller(config: dict, length: int = LENGTH, sft_length: int = LENGTH, tokenizer: str = '') -> dict:
  """The rehearsal of a recipe.

  Args:
    config: plain, as of config.plain. length: positions of a prompt with its response; sft_length: of a row of sft.
      tokenizer: path of the model's; '': that of the config, or a small one is trained, which has one chat format.

  Returns:
    A config with the same stages in the same order.
  """
  stages = tuple(config['stages'])
  small = {
    name: _stage(value, stages, length, sft_length) if name in stages else value for name, value in config.items()
  }
  path = tokenizer or config.get('tokenizer', {}).get('path', '')
  small |= {
    name: empty
    for name, empty in (('chat_template', ''), ('chat_template_kwargs', {}))
    if name in config and (not path or path.endswith('.model'))
  }
  context = {name: value for name, value in config.get('model', {}).items() if name == 'max_position_embeddings'}
  return small | dict(
    rehearsal=True,
    base='scratch',
    model=MODEL | context,
    tokenizer=TOKENIZER | {'path': path},
    domains=config.get('domains') or DOMAINS,
    mesh=dict(data=1, fsdp=-1, tensor=1, context=1),
    profile_steps=(),
  )


def _stage(options: dict, stages: tuple, length: int, sft_length: int) -> dict:
  """The same fields; those of SIZES and of lengths smaller, and models that no stage makes replaced by the random
  one."""
  small = {}
  for name, value in options.items():
    if isinstance(value, dict):
      small[name] = _stage(value, stages, length, sft_length)
    elif name in SIZES and type(value) is int:
      small[name] = min(value, SIZES[name])
    elif name == 'ks':
      small[name] = tuple(dict.fromkeys(min(k, SIZES['samples']) for k in value))
    elif name == 'init_from':
      small[name] = _model(value, stages)
    elif name == 'models':
      small[name] = tuple(value if value == 'init' else _model(value, stages) for value in value)
    else:
      small[name] = value
  return small | {name: value for name, value in _lengths(small, length, sft_length).items() if name in small}


def _lengths(small: dict, length: int, sft_length: int) -> dict:
  synthetic = 'problems' in small and small['problems'] > 0 and not small.get('data', {}).get('files')
  return dict(
    length=sft_length,
    row_length=length,
    shortest_row=length,
    columns=length,
    prompt_columns=length - TOKENS,
    mask_truncated=False,  # a random model seldom ends a response: there would be nothing to train on
    **{'cache_tokens': SIZES['slots'] * length} if small.get('cache_tokens') else {},
    **{'problems': min(small['problems'], PROBLEMS)} if synthetic else {},
    **{'weights': ()} if small.get('program') == 'merge' else {},
  )  # the rows of a rehearsal may lack a domain


def _model(name: str, stages: tuple) -> str:
  """A stage's name with a step that the rehearsal keeps; 'base' for a model of another run."""
  stage, at, step = name.partition('@')
  if name == 'scratch' or stage not in stages:
    return 'base'
  return f'{stage}@{min(int(step), SIZES["steps"])}' if at and step.isdigit() else stage


def with_rows(config: dict, folder: str) -> dict:
  """The recipe with the rows of a folder for its data: 'data/NAME.jsonl' becomes every file of that folder named NAME*.

  The folder is named as seen from where the command runs.
  """

  def at(value):
    if isinstance(value, dict):
      return {name: here(part) if name == 'files' else at(part) for name, part in value.items()}
    return value

  def here(files: str) -> str:
    seen = os.path.relpath(folder)
    names = (entry.strip() for entry in files.split(',') if entry.strip())
    return ','.join(f'{seen}/{os.path.basename(n).split(".")[0].rstrip("*")}*' if '/' in n else n for n in names)

  return at(config)
