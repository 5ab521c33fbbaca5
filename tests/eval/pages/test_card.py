"""The model card: what made a model, what was read for it, what it scores; all of it from the files of a run."""

import json

import pytest

from vibethinker_jax.eval.pages import card
from vibethinker_jax.runtime import origins

COMMIT, DIGEST = 'c' * 40, 'd' * 64
URL = 'hf://datasets/some/traces@main/train.jsonl'
PINNED = f'hf://datasets/some/traces@{COMMIT}/train.jsonl'
SCORE = {'pass@1': 0.25, 'ci95': [0.125, 0.5], 'pass@k': {'1': 0.25}, 'problems': 8, 'samples': 4}


def write(path, value):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(value))


@pytest.fixture
def run(tmp_path):
  """A run of three stages and two that have no part in the last of them."""
  taken = {'models': {'Qwen/Base@main': COMMIT}, 'data': {URL: [{'url': PINNED, 'sha256': DIGEST, 'size': 3}]}}
  write(tmp_path / 'config.json', {'base': 'Qwen/Base@main', 'domains': ['algebra']})
  write(tmp_path / 'origins.json', taken)
  stages = {
    'sft': ({'program': 'sft', 'init_from': 'base', 'steps': 7, 'data': {'files': URL}}, {}),
    'probe': ({'program': 'probe', 'init_from': 'sft', 'data': {'files': ''}}, {}),
    'merge': ({'program': 'merge', 'init_from': 'sft', 'probe': 'probe'}, {}),
    'other': ({'program': 'rl', 'init_from': 'sft', 'steps': 99, 'data': {'files': 'secret.jsonl'}}, {}),
    'rl': (
      {'program': 'rl', 'init_from': 'merge@0', 'steps': 5, 'data': {'files': ''}, 'problems': 64, 'levels': [1, 2]},
      {},
    ),
    'evaluate': (
      {'program': 'evaluate', 'models': ['init', 'rl']},
      {'models': {'init': {'maths': SCORE | {'pass@1': 0.75}}, 'rl': {'maths': SCORE}}},
    ),
  }
  for name, (config, result) in stages.items():
    write(tmp_path / name / 'config.json', config)
    write(tmp_path / name / 'result.json', result)
  for step in (3, 5):
    (tmp_path / 'rl' / 'checkpoints' / str(step)).mkdir(parents=True)
  return tmp_path


MODEL = {'model_type': 'qwen2', 'num_hidden_layers': 2, 'hidden_size': 16, 'vocab_size': 300}


def test_the_card_of_a_stage(run):
  text = card.write('me/mine', str(run / 'rl'), MODEL)
  front = text.split('---')[1]
  assert 'base_model: "Qwen/Base"' in front and 'some/traces' in front and '\n# mine\n' in text
  recipe, data = text.partition('## Recipe')[2].split('## ')[:2]
  assert [line.split('`')[1] for line in recipe.splitlines() if line.startswith('| `')] == [
    'sft',
    'probe',
    'merge',
    'rl',
  ]
  assert 'steps 5' in recipe and 'init_from merge@0' in recipe
  assert f'* `sft`: `{URL}` (sha256 {DIGEST[:16]})' in data and '`rl`: synthetic problems (algebra)' in data
  figures = text.partition('## Figures (evaluate)')[2]
  assert '| **rl** | 25.0 [12.5, 50.0] |' in figures and '| base | 75.0 [12.5, 50.0] |' in figures
  assert 'other' not in text and 'secret' not in text  # no part in it
  assert COMMIT in text and '`Qwen/Base@main`' in text


def test_scores_are_those_of_the_checkpoint(run):
  """The run has evaluated the last step; of an earlier one nothing is known."""
  of = lambda *path: card.write('me/mine', str(run.joinpath('rl', *path)), MODEL)
  assert '25.0 [' in of('checkpoints', '5') and '25.0 [' in of('checkpoints')
  assert '25.0 [' not in of('checkpoints', '3') and '## Recipe' in of('checkpoints', '3')


def test_a_model_of_no_run(tmp_path):
  """config.json of a model is not that of a stage, though another one stands a folder above."""
  write(tmp_path / 'config.json', MODEL)
  write(tmp_path / 'model' / 'config.json', MODEL)
  text = card.write('me/mine', str(tmp_path / 'model'), MODEL)
  assert 'Converted by vibethinker_jax from `model`' in text and '## Recipe' not in text
  origins.known['models']['Qwen/Base@v1'] = COMMIT
  try:
    text = card.write('me/mine', 'Qwen/Base@v1', MODEL)
  finally:
    origins.forget()
  assert 'base_model: "Qwen/Base"' in text and COMMIT in text
