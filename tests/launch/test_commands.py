"""The other commands on two hosts: the files and the words of one."""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from vibethinker_jax import checkpoint
from vibethinker_jax.data.tokens import tokenizer
from vibethinker_jax.model import config, transformer

LAUNCHER = pathlib.Path(__file__).parents[2] / 'launch' / 'local_multiprocess.py'

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
  """A stage directory with a random model."""
  trained = tokenizer.train([f'{i} apples and {i + 1} pears are {2 * i + 1} fruits' for i in range(300)], 300)
  fields = dict(
    vocab_size=trained.vocab_size,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=8,
    intermediate_size=24,
  )
  directory = tmp_path_factory.mktemp('run') / 'sft'
  saved = {'config': fields, 'tokenizer': trained.files()}
  with checkpoint.Checkpoints(directory / 'checkpoints', keep=None, model=saved) as checkpoints:
    params = transformer.init(config.from_dict(fields), jax.random.key(0))
    checkpoints.save(3, params, {'step': jnp.int32(3)}, {})
  return directory


def on_both(name, *arguments):
  """What a command prints on one host and on two, OUT in the arguments being 1 and 2."""
  words = []
  for hosts in (1, 2):
    command = [sys.executable, '-m', f'vibethinker_jax.{name}', *(x.replace('OUT', str(hosts)) for x in arguments)]
    if hosts == 2:
      command = [sys.executable, str(LAUNCHER), '--processes=2', '--devices=2', '--', *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    words.append(done.stdout.replace('[0] ', '') if hosts == 2 else done.stdout)
    assert '[1]' not in done.stdout  # one of them speaks
  return words


def test_evaluate(stage, tmp_path):
  data = tmp_path / 'mine.jsonl'
  data.write_text(''.join(json.dumps({'prompt': f'{i} apples', 'answer': str(i)}) + '\n' for i in range(5)))
  for samples in (2, 3):  # the second one goes on with what the first has left
    on_both(
      'evaluate',
      f'--checkpoint={stage}',
      f'--data={data}',
      f'--samples={samples}',
      '--max_tokens=8',
      f'--output={tmp_path}/OUT',
    )
    one, two = ((tmp_path / name / 'responses.jsonl').read_text().splitlines() for name in '12')
    other = sum(a != b for a, b in zip(one, two, strict=True))
    # Four devices run another program than one: rounding may move one border of the distribution over one of the draws.
    assert len(one) == 5 * samples and other <= 1
    one, two = (json.loads((tmp_path / name / 'result.json').read_text())['sets'] for name in '12')
    assert one == two or other


def test_convert_and_sample(stage, tmp_path):
  on_both('convert', f'--source={stage}', f'--target={tmp_path}/hfOUT')
  one, two = ((tmp_path / f'hf{n}' / 'model.safetensors').read_bytes() for n in '12')
  assert one == two
  on_both('convert', f'--source={tmp_path}/hfOUT', f'--target={tmp_path}/oursOUT')
  one, two = (checkpoint.read_model(checkpoint.find(tmp_path / f'ours{n}'))['digests'] for n in '12')
  assert one == two
  # Greedy: four devices run another program than one, and the nearly uniform distribution of a random model has 300
  # borders, of which one may move by a bit over a draw.
  one, two = on_both(
    'sample', f'--checkpoint={tmp_path}/oursOUT', '--prompt=3 apples', '--max_tokens=6', '--temperature=0'
  )
  assert one.split() == two.split() and '[cut off at --max_tokens=6]' in one


def test_decontaminate(tmp_path):
  text = 'one two three four five six seven eight nine ten eleven twelve'
  for name, rows in (('train', [text, 'apples and pears']), ('test', [text])):
    (tmp_path / f'{name}.jsonl').write_text(''.join(json.dumps({'prompt': x, 'response': '1'}) + '\n' for x in rows))
  on_both(
    'decontaminate',
    f'--train={tmp_path}/train.jsonl',
    f'--against={tmp_path}/test.jsonl',
    f'--output={tmp_path}/OUT.jsonl',
  )
  one, two = ((tmp_path / f'{n}.jsonl').read_text() for n in '12')
  assert one == two and one.count('\n') == 1
