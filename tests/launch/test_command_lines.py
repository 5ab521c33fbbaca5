"""Every command line of ours in launch/ and README.md names a module that runs, with flags and fields that exist."""

import ast
import json
import pathlib
import re
import shlex
import string
import sys
from unittest import mock

from absl import flags
from ml_collections import config_flags
import pytest
import yaml

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import presets
from vibethinker_jax.programs import arms, recipe

pytestmark = pytest.mark.filterwarnings(
  'ignore:the load_module:DeprecationWarning'
)  # ml_collections reads config files so
ROOT = pathlib.Path(__file__).parents[2]
ENDS = {'&&', '||', '|', ';', '>', '&'}


def logical_lines(path: pathlib.Path):
  """The lines of a file in which a command may stand, without comment signs and with continued lines joined."""
  text = path.read_text()
  if path.suffix == '.ipynb':
    fence = {'markdown': '', 'code': '```\n'}
    text = '\n'.join(
      fence[cell['cell_type']] + ''.join(cell['source']) + '\n' + fence[cell['cell_type']]
      for cell in json.loads(text)['cells']
    )
  if path.suffix == '.yaml':
    document = yaml.safe_load(text)
    text = string.Template(text).safe_substitute(document.get('envs', {}))
    for job in document.get('spec', {}).get('replicatedJobs', ()):
      for container in job['template']['spec']['template']['spec']['containers']:
        yield shlex.join(container['args'])
  if path.name == 'Dockerfile':
    yield from (shlex.join(json.loads(words)) for words in re.findall(r'^CMD (.*)', text, flags=re.MULTILINE))
  text = re.sub(r'\\\n[ \t#]*', ' ', text)
  if path.suffix in ('.md', '.ipynb', '.py'):
    blocks = re.split(r'^ *```.*\n', text, flags=re.MULTILINE)
    for prose in blocks[::2]:
      yield from (span.replace('\n', ' ') for span in re.findall(r'`([^`]+)`', prose))
    text = text if path.suffix == '.py' else '\n'.join(blocks[1::2])
  yield from (line.strip(' #!') for line in text.splitlines())


def commands(path: pathlib.Path) -> list[tuple[str, list[str]]]:
  """(module or script of launch/, its arguments) of each command in a file."""
  found = []
  for line in logical_lines(path):
    if '-m vibethinker_jax' in line or 'launch/local_multiprocess.py -' in line:
      found += split(shlex.split(line, comments=True))
  return list(dict.fromkeys((name, tuple(arguments)) for name, arguments in found))


def split(words: list[str]) -> list[tuple[str, list[str]]]:
  found = []
  for i, word in enumerate(words):
    if ' -m vibethinker_jax' in word:  # a command as one argument
      found += split(shlex.split(word.partition('=')[2]))
    if (
      re.fullmatch(r'vibethinker_jax(\.\w+)+', word) and words[i - 1] == '-m' or word == 'launch/local_multiprocess.py'
    ):
      rest = words[i + 1 :]
      end = next((j for j, x in enumerate(rest) if x in ENDS or x == '--'), len(rest))
      found.append((word, rest[:end]))
  return found


def source(name: str) -> pathlib.Path:
  if name.endswith('.py'):
    return ROOT / name
  path = ROOT / name.replace('.', '/')
  return path / '__main__.py' if path.is_dir() else path.with_suffix('.py')


def flags_of(path: pathlib.Path) -> set[str]:
  """The flags that a command defines, and those of a module that it calls `main` of or whose flags it adopts."""
  tree, found = ast.parse(path.read_text()), set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
      if node.func.attr.startswith('DEFINE_') or node.func.attr in ('add_argument', 'declare_key_flag'):
        found.add(node.args[0].value.lstrip('-'))
    elif (
      isinstance(node, ast.ImportFrom)
      and any(alias.name == 'corpus' for alias in node.names)
      and 'maths' in node.module
    ):
      found |= flags_of(ROOT / 'vibethinker_jax' / 'verify' / 'maths' / 'corpus.py')
    elif isinstance(node, ast.ImportFrom) and any(alias.name == 'command' for alias in node.names):
      found |= flags_of(ROOT / node.module.replace('.', '/') / 'command.py')
  return found


def problems(name: str, arguments: list[str]) -> list[str]:
  """What is wrong with a command."""
  path = source(name)
  if not path.exists() or '__main__' not in path.read_text() + path.name:
    return [f'{name} is not a command']
  known, wrong, config = flags_of(path) | {'help'}, [], []
  for argument in arguments:
    flag, _, value = argument.partition('=')
    if not flag.startswith('--'):
      wrong.append(f'{argument} is not a flag')
    elif flag.partition('.')[0] == '--config':
      config.append(argument)
    elif flag[2:] not in known:
      wrong.append(f'{name} has no {flag}')
    elif flag == '--preset':
      wrong += [f'no preset {x}' for x in value.split(',') if x not in presets.PRESETS]
  if config:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file('config', flag_values=values)
    try:
      with mock.patch.object(sys, 'argv', ['command', *config]):  # where ml_collections looks for fields
        values(sys.argv)
      found = values.config.to_dict()
      stages = tuple(stage for x in arguments if x.startswith('--stages=') for stage in x[9:].split(','))
      arms.bind(config_lib.plain(found)) if 'recipe' in found else recipe.bind(found, stages)
    except (AttributeError, KeyError, TypeError, ValueError, OSError, flags.Error) as error:
      wrong.append(f'{config}: {error}')
  return wrong


FILES = [path for path in sorted((ROOT / 'launch').iterdir()) if path.is_file()] + [ROOT / 'README.md']
FOUND = {path.name: commands(path) for path in FILES}


def test_they_are_found():
  assert {name for name, found in FOUND.items() if found} >= {
    'README.md',
    'Dockerfile',
    'gke_jobset.yaml',
    'local_multiprocess.py',
    'sky.yaml',
    'slurm.sh',
    'tpu_vm.sh',
  }
  assert len(FOUND['gke_jobset.yaml']) == 1 and len(FOUND['README.md']) >= 23
  assert (
    FOUND['gke_jobset.yaml'] == FOUND['tpu_vm.sh']
  )  # what the pods run, what xpk runs, and what a slice of VMs does


@pytest.mark.parametrize('file', [name for name, found in FOUND.items() if found])
def test_commands(file):
  assert [x for name, arguments in FOUND[file] for x in problems(name, arguments)] == []


def test_fields_in_prose():
  fields = re.findall(r'`(--config\.[^`]+)`', (ROOT / 'README.md').read_text())
  assert len(fields) >= 4
  for field in fields:
    assert problems('vibethinker_jax.main', ['--config=configs/tiny.py', *shlex.split(field)]) == []


@pytest.mark.parametrize(
  'line, word',
  [
    ('python -m vibethinker_jax.mane --config=configs/tiny.py', 'not a command'),
    ('python -m vibethinker_jax.runtime.metrics --config=configs/tiny.py', 'not a command'),
    ('python -m vibethinker_jax.main --config=configs/tiny.py --workdirs=x', 'no --workdirs'),
    ('python -m vibethinker_jax.main --config=configs/tinny.py', 'tinny'),
    ('python -m vibethinker_jax.main --config=configs/tiny.py:16', '16'),
    ('python -m vibethinker_jax.main --config=configs/tiny.py --config.sft.lr=1', 'lr'),
    ('python -m vibethinker_jax.main --config=configs/tiny.py --stages=stf', 'stf'),
    ('python -m vibethinker_jax.evaluate --preset=aime99', 'aime99'),
    (
      "xpk workload --command='exec python -m vibethinker_jax.plan --config=configs/tiny.py --topologie=v4' --x",
      'topologie',
    ),
    (
      'python launch/local_multiprocess.py --process=2 -- python -m vibethinker_jax.main --config=configs/tiny.py',
      '--process',
    ),
  ],
)
def test_the_check_itself(line, word):
  assert word in str([problems(*command) for command in split(shlex.split(line))])
