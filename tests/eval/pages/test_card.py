"""The model card: from what a run has kept, or from next to nothing."""

import json

import huggingface_hub
import pytest

from vibethinker_jax.eval.pages import card
from vibethinker_jax.runtime import origins

CONFIG = {'model_type': 'qwen2', 'num_hidden_layers': 28, 'hidden_size': 1536, 'vocab_size': 151_936}
COMMIT = 'a' * 40
URL = 'hf://datasets/O/Traces/a.jsonl'


def summary(value, low, high, k=4):
  return {
    'pass@1': value, 'ci95': [low, high], 'pass@k': {str(k): 0.75}, 'pass@k_ci95': {str(k): [0.5, 1.0]}, 'problems': 30,
    'samples': 8}  # fmt: skip


@pytest.fixture
def run(tmp_path):
  workdir = tmp_path / 'run'
  scores = {'aime': summary(0.25, 0.2, 0.3)}
  stages = {
    'sft': ({'program': 'sft', 'init_from': 'base', 'steps': 300, 'data': {'files': URL + ',x/b.jsonl'}},
            {'steps': 300, 'seconds': 7200}),
    'rl_math': (
      {'program': 'rl', 'init_from': 'sft', 'steps': 90, 'group': 16, 'data': {'files': ''}}, {'seconds': 60}),
    'later': ({'program': 'rl', 'init_from': 'rl_math', 'steps': 7, 'data': {'files': 'later.jsonl'}}, {'seconds': 60}),
    'evaluate': ({'program': 'evaluate', 'models': ['init', 'rl_math'], 'data': {'files': ''}},
                 {'models': {'init': {'aime': summary(0.1, 0.05, 0.2)}, 'rl_math': scores}, 'seconds': 1})}  # fmt: skip
  for name, (options, result) in stages.items():
    (workdir / name / 'checkpoints' / '9').mkdir(parents=True)
    (workdir / name / 'config.json').write_text(json.dumps(options))
    (workdir / name / 'result.json').write_text(json.dumps(result))
  recipe = {'base': 'Qwen/Base@main', 'seed': 0, 'domains': ['algebra']}
  (workdir / 'config.json').write_text(json.dumps(recipe))
  file = {'url': 'hf://datasets/O/Traces@b/a.jsonl', 'sha256': '1234567890abcdef' * 4, 'size': 3, 'tag': ''}
  taken = {'models': {'Qwen/Base@main': COMMIT}, 'data': {'hf://datasets/O/Traces/a.jsonl': [file]}}
  (workdir / origins.NAME).write_text(json.dumps(taken))
  return workdir


@pytest.mark.parametrize('below', ['', 'checkpoints', 'checkpoints/9'])
def test_of_a_stage(run, below):
  text = card.write('me/mine', str(run / 'rl_math' / below), CONFIG)
  body = text.split('---\n\n', 1)[1]
  read = huggingface_hub.ModelCard(text).data  # as the Hub's own library reads and checks it
  assert (read.base_model, read.datasets, read.library_name) == ('Qwen/Base', ['O/Traces'], 'transformers')
  first, second = read.eval_results
  assert read.model_name == 'mine' and (first.dataset_name, first.metric_type, first.metric_value) == (
    'aime',
    'pass@1',
    25.0,
  )
  assert first.metric_args == {'problems': 30, 'samples': 8, 'ci95': [20.0, 30.0]}
  assert (second.metric_type, second.metric_value, second.metric_args['ci95']) == ('pass@4', 75.0, [50.0, 100.0])
  assert body.startswith('# mine\n') and f'from `Qwen/Base@main` at commit {COMMIT}' in body
  assert '| `sft` | sft | steps 300, init_from base | 2.00 |' in body and 'group 16' in body and 'later' not in body
  assert '* `sft`: `hf://datasets/O/Traces/a.jsonl` (sha256 1234567890abcdef), `b.jsonl`' in body
  assert '* `rl_math`: synthetic problems (algebra)' in body
  assert '| model | aime, Pass@1 | aime, Pass@4 |' in body
  assert '| base | 10.0 [5.0, 20.0] | 75.0 [50.0, 100.0] |' in body
  assert '| **rl_math** | 25.0 [20.0, 30.0] | 75.0 [50.0, 100.0] |' in body


def test_of_another_model(tmp_path, monkeypatch):
  text = card.write('me/mine', str(tmp_path / 'model'), CONFIG)
  assert 'Converted by vibethinker_jax from `model`, not trained further' in text and 'base_model' not in text
  monkeypatch.setitem(origins.known['models'], 'O/N@v1', COMMIT)
  text = card.write('me/mine', 'O/N@v1', CONFIG)
  read = huggingface_hub.ModelCard(text).data
  assert read.base_model == 'O/N' and not read.eval_results and COMMIT in text
