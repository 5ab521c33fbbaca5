"""Overrides of config fields and the numbers of the commands: a mistake is one line that names what was wrong."""

import pathlib
import subprocess
import sys

from absl import flags
from ml_collections import config_flags
import pytest

from vibethinker_jax import config as config_lib
from vibethinker_jax.programs import recipe

# ml_collections loads config files with it.
pytestmark = pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
TINY = f'--config={CONFIGS}/tiny.py'


@pytest.fixture
def parse(monkeypatch):
  """Parses arguments as `main` and `plan` do, with flags of its own: (config, '' or the error)."""
  values = flags.FlagValues()
  monkeypatch.setattr(flags, 'FLAGS', values)
  config = config_flags.DEFINE_config_file('config', None, '', flag_values=values)

  def run(*arguments):
    monkeypatch.setattr(sys, 'argv', ['x', *arguments])
    try:
      config_lib.parse_flags(sys.argv)
    except SystemExit as error:
      return None, error.code
    return config.value, ''

  return run


@pytest.mark.parametrize(
  'argument, message',
  [
    ('--config.sft.steps=abc', "sft.steps='abc' must be an integer"),
    ('--config.seed=x', "config.seed='x' must be an integer"),
    ('--config.sft.batch_size=2.5', "sft.batch_size='2.5' must be an integer"),
    ('--config.sft.learning_rate=fast', "sft.learning_rate='fast' must be a finite number"),
    ('--config.sft.unroll=maybe', "sft.unroll='maybe' must be True or False"),
    ('--config.sft=3', "sft='3' must be a sub-config"),
    (
      '--config.sft.lerning_rate=1',
      'sft.lerning_rate is not a field of the config (did you mean learning_rate?); known: ',
    ),
    (
      '--config.rl_code.sampler.slotz=1',
      'rl_code.sampler.slotz is not a field of the config (did you mean slots?); known: ',
    ),
    ('--config.mesh.dta=1', 'config.mesh.dta is not a field of the config (did you mean data?); known: '),
    ('--noconfig.sft.unrol', 'sft.unrol is not a field of the config (did you mean unroll?); known: '),
    ('--config.stgaes=x', 'stgaes is not a field of the config (did you mean stages?); known: '),
    (
      '--config.chat_template_kwargs.enable_thinking=False',
      'config.chat_template_kwargs.enable_thinking: all of them are one value, '
      '--config.chat_template_kwargs=enable_thinking=False',
    ),
    ('--config.sft.steps.x=3', 'sft.steps.x is not a field of the config; known: none'),
    ('--confg=x', "command line: Unknown command line flag 'confg'"),
  ],
)
def test_overrides_that_cannot_be_set(parse, argument, message):
  _, error = parse(TINY, argument)
  assert error.startswith(f'error: {message}') and '\n' not in error


@pytest.mark.parametrize(
  'file, message',
  [
    (f'{CONFIGS}/none.py', f"--config={CONFIGS}/none.py: there is no file '{CONFIGS}/none.py'"),
    (f'{CONFIGS}/gsm8k.py:foo', "configs/gsm8k.py: unknown argument 'foo'; 'runlocal' is"),
  ],
)
def test_configs_that_cannot_be_read(parse, file, message):
  for more in ((), ('--config.sft.steps=3',)):
    _, error = parse(f'--config={file}', *more)
    assert error.startswith(f'error: {message}') and '\n' not in error


def test_good_overrides(parse):
  config, error = parse(TINY, '--config.sft.steps=3', '--config.sft.levels=(1,2)', '--noconfig.sft.unroll')
  assert not error and (config.sft.steps, config.sft.levels, config.sft.unroll) == (3, (1, 2), False)


@pytest.mark.parametrize('text', ['enable_thinking=False,x=1', '{"enable_thinking": false, "x": 1}'])
def test_names_of_a_template_can_be_set(parse, text):
  config, error = parse(f'--config={CONFIGS}/gsm8k.py', f'--config.chat_template_kwargs={text}')
  assert not error and recipe.bind(config.to_dict())[0].chat_template_kwargs == {'enable_thinking': False, 'x': 1}


def run(name, *arguments):
  done = subprocess.run(
    [sys.executable, '-m', f'vibethinker_jax.{name}', *arguments], capture_output=True, text=True, timeout=300
  )
  return done.returncode, done.stderr.strip()


def test_main_says_it_in_one_line_before_anything_is_done(tmp_path):
  code, error = run('main', TINY, f'--workdir={tmp_path}/run', '--config.sft.batch_size=-3')
  assert (code, error) == (1, 'error: sft.batch_size=-3 must be an integer >= 1 and < 2**31')
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  'name, arguments, bad',
  [
    (
      'evaluate',
      ('--checkpoint=x', '--output=OUT'),
      (
        'samples=-1',
        'samples=0',
        'temperature=-1',
        'temperature=nan',
        'temperature=inf',
        'top_p=2',
        'top_p=0',
        'top_p=nan',
        'max_tokens=0',
        'slots=0',
        'limit=-1',
        'problems=0',
        'seed=-1',
        'levels=9',
        'levels=x',
        'domains=maths',
        'templates=x',
      ),
    ),
    ('sample', ('--checkpoint=x', '--prompt=x'), ('max_tokens=0', 'temperature=nan', 'top_p=1.5', 'seed=-1')),
    (
      'plan',
      (TINY, '--topology=v5e:4x4'),
      (
        'dollars_per_chip_hour=nan',
        'dollars_per_chip_hour=-1',
        'median_tokens=0',
        'rounds=inf',
        'rounds=0.5',
        'problems=0',
      ),
    ),
    ('decontaminate', ('--train=x', '--against=x', '--output=OUT'), ('ngram=0', 'ignore_common=-1')),
    ('convert', ('--source=x', '--target=OUT'), ('shard_gb=nan', 'shard_gb=-1', 'dtype=float8', 'to=x')),
  ],
  ids=lambda x: str(x)[:9],
)
def test_numbers_of_commands(tmp_path, name, arguments, bad):
  """One process for all of them: each starts in seconds."""
  code = (
    f'import sys\nfrom absl import flags\nfrom vibethinker_jax import {name}\nfor bad in {bad!r}:\n'
    f'  flags.FLAGS.unparse_flags()\n  try:\n    flags.FLAGS(["x", *{arguments!r}, "--" + bad])\n'
    '    print("accepted", bad)\n  except flags.Error as error:\n    print(bad.split("=")[0] in str(error))\n'
    '  flags.FLAGS[bad.split("=")[0]].unparse()\n'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300)
  assert done.stdout.split('\n') == ['True'] * len(bad) + [''], done.stdout + done.stderr
