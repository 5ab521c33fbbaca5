"""A recipe that starts from a Hugging Face directory and reads files in every stage, as the real ones do."""

import json

import jax
import pytest

from vibethinker_jax import main
from vibethinker_jax.data.tokens import tokenizer as tokenizer_lib
from vibethinker_jax.model import config as model_config, transformer
from vibethinker_jax.model.formats import hf

pytestmark = pytest.mark.slow  # two minutes of compiling


@pytest.fixture(scope='module')
def base(tmp_path_factory):
  """A Hugging Face directory of a random model whose tokenizer.json came from SentencePiece."""
  directory = tmp_path_factory.mktemp('base') / 'model'
  trained = tokenizer_lib.train([f'What is {i} + {i}? It is {2 * i}. user assistant' for i in range(300)], 300)
  config = model_config.from_dict(
    dict(
      vocab_size=320,
      hidden_size=16,
      num_hidden_layers=2,
      num_attention_heads=2,
      num_key_value_heads=1,
      head_dim=8,
      intermediate_size=24,
      max_position_embeddings=64,
    )
  )
  hf.save(directory, config, transformer.init(config, jax.random.key(3)), files=trained.hub_files(), dtype='float32')
  return directory


@pytest.fixture(scope='module')
def config(toy, base, tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  rows = [
    {
      'problem': f'What is {i} + {i}?',
      'solution': f'It is \\boxed{{{2 * i}}}.',
      'answer': 2 * i,
      'domain': ('even', 'odd')[i % 2],
    }
    for i in range(40)
  ]
  (folder / 'all.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
  config = toy.config()
  data = config['sft']['data'] | dict(files=str(folder / 'all.jsonl'), prompt='{problem} Box it.')
  config['base'] = str(base)
  config['model'] = dict(rope_theta=1e6, max_position_embeddings=128)
  config['stages'] = ('sft', 'probe', 'merge', 'rl_code', 'evaluate')
  config['sft'].update(init_from='base')
  config['rl_code'].update(init_from='merge', problems=0)
  config['evaluate'].update(models=('init', 'merge', 'rl_code'))
  for name in config['stages']:
    if name != 'merge':
      config[name]['data'] = data
  for name in ('rl_math_16k', 'rl_math_32k', 'tokenizer', 'templates', 'domains'):
    del config[name]
  return config


@pytest.fixture(scope='module')
def finished(toy, config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('from_base')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(main, 'Pool', toy.CoinPool)
    main.run(config, workdir)
  return workdir


def result(workdir, stage):
  return json.loads((workdir / stage / 'result.json').read_text())


def test_domains_are_those_of_the_files(finished):
  assert set(result(finished, 'probe')['chosen']) == {'even', 'odd'} == set(result(finished, 'merge')['specialists'])
  models = result(finished, 'evaluate')['models']
  assert list(models) == ['init', 'merge', 'rl_code'] and set(models['init']) == {'even', 'odd', 'all problems'}
  assert [models['init'][name]['problems'] for name in ('even', 'odd', 'all problems')] == [3, 3, 6]  # 3 a domain
  assert len(json.loads((finished / 'rl_code' / 'prompts.json').read_text())['accuracy']) == 40  # 0: all
  assert 'model' in (finished / 'report.html').read_text()


def test_the_tokenizer_and_the_changed_context_go_along(base, finished):
  from vibethinker_jax import checkpoint

  saved = checkpoint.read_model(checkpoint.find(finished / 'rl_code'))
  assert saved['tokenizer'] == {p.name: p.read_bytes() for p in base.glob('*') if p.name in saved['tokenizer']}
  assert 'tokenizer.json' in saved['tokenizer']
  assert (saved['config']['rope_theta'], saved['config']['max_position_embeddings']) == (1e6, 128)


def test_what_the_weights_fix_cannot_be_set(toy, config, tmp_path, monkeypatch):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  with pytest.raises(ValueError, match='hidden_size.*fixes'):
    main.run(config | {'model': {'hidden_size': 32}}, tmp_path)
  with pytest.raises(ValueError, match='nowhere'):
    main.run(config | {'base': str(tmp_path / 'nowhere')}, tmp_path / 'other')
