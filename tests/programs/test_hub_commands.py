"""The commands with names of the Hub instead of paths: evaluate, a recipe, convert there and back."""

import json
import pathlib
import subprocess
import sys

import jax
import pytest

from vibethinker_jax.data import published
from vibethinker_jax.data.tokens import tokenizer as tokenizer_lib
from vibethinker_jax.model import config as model_config, transformer
from vibethinker_jax.model.formats import hf

NAME = 'WeiboAI/VibeThinker-1.5B'
LAUNCHER = pathlib.Path(__file__).parents[2] / 'launch' / 'local_multiprocess.py'


@pytest.fixture
def model(hub, tmp_path):
  """Files of a random model, which the Hub has as NAME."""
  trained = tokenizer_lib.train([f'What is {i} + {i}? It is {2 * i}. user assistant' for i in range(300)], 300)
  fields = dict(
    vocab_size=320, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
    intermediate_size=24, max_position_embeddings=512)  # fmt: skip
  config = model_config.from_dict(fields)
  params = transformer.init(config, jax.random.key(3))
  hf.save(tmp_path / 'model', config, params, files=trained.hub_files(), dtype='float32')
  files = {path.name: path.read_bytes() for path in (tmp_path / 'model').iterdir()}
  hub.model(NAME, files | {'pytorch_model.bin': b'0' * 1000})
  return files


def command(hub, name, *arguments, **more):
  command = [sys.executable, '-m', f'vibethinker_jax.{name}', *arguments]
  return subprocess.run(command, capture_output=True, text=True, timeout=900, env=hub.environment(**more))


def homes(hub, **rows):
  """The presets' own repositories, with rows that are made up."""
  for name, found in rows.items():
    home = published.HOMES[name]
    content = ''.join(json.dumps(row) + '\n' for row in found).encode()
    repo = hub.dataset(home.repository, gated=home.gated, token='mine')
    repo.commits[home.revision] = {home.files[0]: content}
    repo.branches['main'] = home.revision


@pytest.mark.slow
def test_the_published_model_on_its_benchmarks_needs_no_file(hub, model, tmp_path):
  problems = [{'problem': f'What is {i} + {i}?', 'answer': str(2 * i), 'id': f'p{i}'} for i in range(3)]
  homes(hub, aime25=problems, math500=[row | {'subject': 'Algebra'} for row in problems])
  line = (f'--checkpoint={NAME}', '--preset=aime25,math500', f'--output={tmp_path}/out', '--max_tokens=8')
  done = command(hub, 'evaluate', *line, '--samples=1')
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / 'out/result.json').read_text())
  sha = hub.repos[f'models/{NAME}'].branches['main']
  assert result['model']['commit'] == sha and list(result['sets']) == ['aime25', 'math500']
  assert len(result['origins']) == 2 and all(len(files[0]['sha256']) == 64 for files in result['origins'].values())
  page = (tmp_path / 'out/report.html').read_text()
  assert sha in page and published.HOMES['aime25'].revision in page and 'HTTP Request' not in done.stderr
  # New weights on the Hub: what was begun goes on with the old ones.
  hub.repos[f'models/{NAME}'].publish(model | {'model.safetensors': b'other'})
  done = command(hub, 'evaluate', *line, '--samples=2')
  assert done.returncode == 0, done.stderr
  assert json.loads((tmp_path / 'out/result.json').read_text())['model'] == result['model']


@pytest.mark.slow
def test_what_does_not_come_is_one_line_and_nothing_is_written(hub, model, tmp_path):
  homes(hub, gpqa_diamond=[{'Question': 'q'}])
  for checkpoint, preset, part in (
    (NAME, '--preset=gpqa_diamond', 'is gated: accept its conditions'),
    (NAME, '--preset=livecodebench_v6,gpqa_diamond', 'error: --preset=gpqa_diamond: hf:'),  # before 134 MB come
    ('WeiboAI/VibeThinker', '--samples=1', 'neither a file or directory here'),
  ):
    done = command(hub, 'evaluate', f'--checkpoint={checkpoint}', preset, f'--output={tmp_path}/out')
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith('error: ') and part in done.stderr
    assert 'Traceback' not in done.stderr and not (tmp_path / 'out').exists()
  assert not hub.count('model.safetensors')  # the data is asked for first


@pytest.mark.slow
def test_a_model_comes_from_the_hub_and_goes_there(hub, model, tmp_path):
  push = '--push=somebody/mine'
  done = command(hub, 'convert', f'--source={NAME}@main', '--to=hf', push)
  assert done.returncode == 1 and 'nobody is logged in here' in done.stderr.splitlines()[-1]
  assert not hub.count('model.safetensors')  # told before anything is done
  done = command(hub, 'convert', f'--source={NAME}@main', '--to=hf', '--dtype=float32', push, HF_TOKEN='writer')
  assert done.returncode == 0, done.stderr
  repo = hub.repos['models/somebody/mine']
  files = repo.commits[repo.branches['main']]
  assert repo.private and files['model.safetensors'] == model['model.safetensors']
  assert f'base_model: {NAME}\n' in files['README.md'].decode() and 'private' in done.stdout.splitlines()[-1]
  repo.private = False
  done = command(hub, 'convert', f'--source={NAME}', '--to=hf', push, HF_TOKEN='writer')
  assert done.returncode == 1 and 'is there and public: give --public' in done.stderr
  done = command(hub, 'convert', f'--source={NAME}', push, HF_TOKEN='writer')
  assert done.returncode == 1 and '--push does nothing where one of our checkpoints is written' in done.stderr


@pytest.mark.slow
def test_a_recipe_begins_with_a_name_and_reads_urls(hub, model, toy, tmp_path):
  """On two hosts, which share this machine and its caches: each file comes once."""
  rows = [
    {'problem': f'What is {i} + {i}?', 'solution': f'It is \\boxed{{{2 * i}}}.', 'answer': 2 * i} for i in range(40)
  ]
  content = ''.join(json.dumps(row) + '\n' for row in rows).encode()
  hub.dataset('O/Traces', {'train.jsonl': content})
  config = toy.config()
  config |= {'base': NAME, 'model': {}, 'stages': ('sft',)}
  config['sft'].update(init_from='base', data=config['sft']['data'] | {'files': 'hf://datasets/O/Traces/*.jsonl'})
  kept = {name: value for name, value in config.items() if name not in toy.config()['stages'] or name == 'sft'}
  kept = {name: value for name, value in kept.items() if name not in ('tokenizer', 'templates', 'domains')}
  text = f'from ml_collections import config_dict\n\n\ndef get_config():\n  return config_dict.ConfigDict({kept!r})\n'
  (tmp_path / 'recipe.py').write_text(text)
  launch = [
    sys.executable,
    str(LAUNCHER),
    '--processes=2',
    '--devices=4',
    '--',
    sys.executable,
    '-m',
    'vibethinker_jax.main',
  ]
  launch += [f'--config={tmp_path}/recipe.py', f'--workdir={tmp_path}/run']
  done = subprocess.run(launch, capture_output=True, text=True, timeout=900, env=hub.environment(JAX_PLATFORMS='cpu'))
  assert done.returncode == 0, done.stderr[-3000:]
  result = json.loads((tmp_path / 'run/sft/result.json').read_text())
  sha = hub.repos[f'models/{NAME}'].branches['main']
  assert result['origins']['models'] == {NAME: sha} and 'O/Traces@' in json.dumps(result['origins']['data'])
  assert sha in (tmp_path / 'run/report.html').read_text()
  assert hub.count('model.safetensors') == hub.count('tokenizer.json') == hub.count('train.jsonl') == 1
