"""`sample` and `evaluate` as a user calls them, on a checkpoint of a random model."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pyarrow
from pyarrow import parquet
import pytest

from vibethinker_jax import checkpoint
from vibethinker_jax.data import tokenizer
from vibethinker_jax.model import config, transformer


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
  """A stage directory with a random model of 400 pieces."""
  texts = [f'{i} apples and {i + 1} pears are {2 * i + 1} fruits' for i in range(300)]
  trained = tokenizer.train(texts, 300)
  fields = dict(vocab_size=trained.vocab_size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=1, head_dim=8, intermediate_size=24)
  model = config.from_dict(fields)
  directory = tmp_path_factory.mktemp('run') / 'sft'
  saved = {'config': fields, 'tokenizer': trained.files()}
  with checkpoint.Checkpoints(directory / 'checkpoints', keep=None, model=saved) as checkpoints:
    checkpoints.save(3, transformer.init(model, jax.random.key(0)), {'step': jnp.int32(3)}, {})
  return directory


def command(name, *arguments):
  return subprocess.run([sys.executable, '-m', f'vibethinker_jax.{name}', *arguments], capture_output=True, text=True,
                        timeout=120)


def test_sample_is_reproducible_and_says_where_it_was_cut(stage):
  calls = [command('sample', f'--checkpoint={stage}', '--prompt=3 apples', '--max_tokens=6') for _ in range(2)]
  assert calls[0].returncode == 0, calls[0].stderr
  assert calls[0].stdout == calls[1].stdout and '[cut off at --max_tokens=6]' in calls[0].stdout
  assert 'Traceback' not in calls[0].stderr and 'arning' not in calls[0].stderr


def test_evaluate_scores_and_keeps_every_response(stage, tmp_path):
  data = tmp_path / 'mine.jsonl'
  data.write_text(''.join(json.dumps({'prompt': f'{i} apples', 'answer': str(i)}) + '\n' for i in range(3)))
  done = command('evaluate', f'--checkpoint={stage}', f'--data={data}', '--samples=2', '--max_tokens=8',
                 f'--output={tmp_path}/out')
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / 'out/result.json').read_text())
  responses = [json.loads(line) for line in (tmp_path / 'out/responses.jsonl').read_text().splitlines()]
  assert result['scores']['all']['problems'] == 3 and result['scores']['all']['samples'] == 2
  assert len(responses) == 6 and all(r['tokens'] <= 8 for r in responses)
  assert result['scores']['all']['pass@1'] == sum(r['correct'] for r in responses) / 6
  assert 'mine.jsonl' in done.stdout


def test_evaluate_reads_parquet_with_fields_by_name(stage, tmp_path):
  rows = [{'q': f'{i} apples', 'gold': {'value': i}, 'kind': f'kind{i % 2}'} for i in range(4)]
  parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / 'mine.parquet')
  done = command('evaluate', f'--checkpoint={stage}', f'--data={tmp_path}/*.parquet', '--prompt_field={q}?',
                 '--answer_field=gold.value', '--domain_field=kind', '--samples=1', '--max_tokens=4',
                 f'--output={tmp_path}/out')
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / 'out/result.json').read_text())
  assert result['scores'].keys() == {'kind0', 'kind1', 'all'} and result['settings']['prompt_field'] == '{q}?'
  done = command('evaluate', f'--checkpoint={stage}', f'--data={tmp_path}/*.parquet', f'--output={tmp_path}/out')
  assert done.returncode == 1 and 'mine.parquet, row 1: a problem needs' in done.stderr.splitlines()[-1]


def test_errors_are_one_line(stage, tmp_path):
  done = command('sample', f'--checkpoint={tmp_path}', '--prompt=x')
  assert done.returncode == 1 and 'no finished checkpoint' in done.stderr and 'Traceback' not in done.stderr


def test_convert_there_and_back(stage, tmp_path):
  steps = [(stage, 'hf', ['--dtype=float32']), ('hf', 'ours', []), ('ours', 'hf2', ['--dtype=float32', '--shard_gb=0.001'])]
  for source, target, more in steps:
    done = command('convert', f'--source={tmp_path / source}', f'--target={tmp_path / target}', *more)
    assert done.returncode == 0, done.stderr
    assert f'{tmp_path / source} -> {tmp_path / target}' in done.stdout and 'vocabulary 300 (300' in done.stdout
  names = {p.name for p in (tmp_path / 'hf').iterdir()}
  assert names == {'config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json'}
  for name in names:
    assert (tmp_path / 'hf' / name).read_bytes() == (tmp_path / 'hf2' / name).read_bytes()
  refused = command('convert', f'--source={stage}', f'--target={tmp_path / "hf"}')
  assert refused.returncode != 0 and 'not an empty directory' in refused.stderr and 'Traceback' not in refused.stderr
  lost = command('convert', f'--source={tmp_path / "nowhere"}', f'--target={tmp_path / "x"}')
  assert lost.returncode != 0 and 'nowhere' in lost.stderr and 'Traceback' not in lost.stderr
  # The converted directory is a --checkpoint like any other, and says the same.
  said = [command('sample', f'--checkpoint={path}', '--prompt=3 apples', '--max_tokens=6').stdout
          for path in (stage, tmp_path / 'hf')]
  assert said[0] == said[1] != ''


@pytest.mark.parametrize('argument, parts', [
    ('--config.sft.lr=1', ('lr',)), ('--config.sft.data.file=x', ('file', 'files')),
    ('--config.verifier=nope:judge', ('nope', 'module:function')),
    ('--config.rl_code.data.files=nope.jsonl', ('rl_code', 'nope.jsonl')),
    ('--config.base=Qwen2.5-Math-1.5B', ('Qwen2.5-Math-1.5B', 'nothing is downloaded'))])
def test_mistakes_are_found_before_anything_runs(argument, parts, tmp_path):
  done = command('main', '--config=configs/tiny.py', f'--workdir={tmp_path}/run', argument)
  assert done.returncode != 0 and 'Traceback' not in done.stderr
  assert 'error:' in done.stderr and all(part in done.stderr for part in parts)
  assert not (tmp_path / 'run').exists()  # nothing that the corrected command would be refused for


def test_models_that_are_not_there(tmp_path):
  (tmp_path / 'bad').mkdir()
  (tmp_path / 'bad/config.json').write_text('{')
  for path, part in ((tmp_path / 'none', 'no such file or directory'), (tmp_path / 'bad', 'bad: damaged')):
    done = command('sample', f'--checkpoint={path}', '--prompt=x')
    assert done.returncode != 0 and part in done.stderr and 'Traceback' not in done.stderr, done.stderr
