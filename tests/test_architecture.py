"""The layout of design.md, checked from the sources: who imports whom, what is small, what is read."""

import ast
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import vibethinker_jax

PACKAGE = pathlib.Path(vibethinker_jax.__file__).parent
ROOT = PACKAGE.parent
NAME = 'vibethinker_jax'
FILES = sorted(PACKAGE.rglob('*.py'))

BASE = ('sharding', 'checkpoint', 'metrics', 'trees', 'config', 'startup', 'hosts', 'peers', 'timeline', 'watch',
        'disk', 'given')  # L0-1, files at top level
FOLDERS = {'model': 2, 'data': 2, 'verify': 2, 'train': 3, 'sampler': 3, 'eval': 4, 'rl': 4, 'programs': 5, 'aot': 6}
COMMANDS = 7  # every other file at top level


def module_of(path: pathlib.Path) -> str:
  parts = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module_of(path): path for path in FILES}


def place(module: str) -> tuple[str, int]:
  """(folder, level) of a module of the package; files at top level share the folder ''."""
  parts = module.split('.')[1:]
  if not parts:
    return '', 0
  if parts[0] in BASE:
    return '', 1
  if parts[0] in FOLDERS:
    return parts[0], FOLDERS[parts[0]]
  assert len(parts) == 1, f'{module}: a folder that design.md does not know'
  return 'commands', COMMANDS


def imports(path: pathlib.Path, top: bool = False) -> set[str]:
  """Full names of what a file imports (top: not in functions); `from a import b` is a.b if that is a module."""
  found, tree = set(), ast.parse(path.read_text())
  for node in tree.body if top else ast.walk(tree):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      for alias in node.names:
        full = f'{node.module}.{alias.name}'
        found.add(full if full in MODULES else node.module)
  return found


def own(names: set[str]) -> set[str]:
  return {name for name in names if name.split('.')[0] == NAME}


def violations(importer: str, imported: set[str]) -> list[str]:
  folder, level = place(importer)
  wrong = []
  for name in sorted(own(imported)):
    other, other_level = place(name)
    if other != folder and other_level >= level:
      wrong.append(f'{importer} (level {level}) imports {name} (level {other_level})')
  return wrong


def test_files_import_their_own_folder_and_lower_levels_only():
  assert len(FILES) > 50
  assert [line for module, path in MODULES.items() for line in violations(module, imports(path))] == []


@pytest.mark.parametrize('importer, imported, allowed', [
    ('eval.passk', 'rl.mgpo', False), ('rl.loss', 'eval.passk', False),
    ('data.loader', 'model.config', False), ('verify.pool', 'data.chat', False), ('sampler.engine', 'train.step', False),
    ('sharding', 'model.config', False), ('programs.rl', 'main', False), ('main', 'programs.rl', True), ('programs.rl', 'aot.hlo', False), ('plan', 'aot.hlo', True),
    ('rl.loss', 'train.loss', True), ('checkpoint', 'sharding', True), ('verify.pool', 'verify.math', True)])
def test_the_rule_itself(importer, imported, allowed):
  assert (violations(f'{NAME}.{importer}', {f'{NAME}.{imported}'}) == []) == allowed


def test_no_import_cycles():
  """An import inside a function (of sympy's part, say, to start faster) may point back."""
  graph = {module: own(imports(path, top=True)) & MODULES.keys() for module, path in MODULES.items()}
  state = {}

  def visit(module, trail):
    assert state.get(module) != 'open', ' -> '.join(trail + [module])
    if module not in state:
      state[module] = 'open'
      for other in graph[module] - {module}:
        visit(other, trail + [module])
      state[module] = 'done'

  for module in graph:
    visit(module, [])


def outside(module: str) -> set[str]:
  """Top-level names that a module imports, itself or through the package."""
  seen, todo, found = set(), [module], set()
  while todo:
    name = todo.pop()
    if name in seen:
      continue
    seen.add(name)
    names = imports(MODULES[name])
    found |= {n.split('.')[0] for n in names - own(names)}
    todo += own(names)
  return found


def test_data_and_verify_know_no_jax():
  for module in MODULES:
    if place(module)[0] in ('data', 'verify'):
      assert not outside(module) & {'jax', 'flax', 'optax', 'orbax'}, module


def test_the_package_itself_imports_nothing():
  assert imports(PACKAGE / '__init__.py') == set()


def test_linen_is_used_in_one_file():
  flax = lambda path: any(name.split('.')[0] == 'flax' for name in imports(path))
  users = {module for module, path in MODULES.items() if flax(path)}
  assert users == {f'{NAME}.model.transformer'}


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_small(path):
  assert len(path.read_text().splitlines()) < 400
  assert path.name not in ('utils.py', 'util.py', 'helpers.py', 'common.py')


def test_configs_import_little():
  """ml_collections, and what makes a rehearsal of a recipe, which imports no JAX."""
  paths = sorted((ROOT / 'configs').glob('*.py'))
  assert paths
  for path in paths:
    assert 'ml_collections' in imports(path) <= {'ml_collections', 'pathlib', f'{NAME}.smaller'}, path
  assert 'jax' not in outside(f'{NAME}.smaller')


def option_classes():
  """Every NamedTuple called Options or ...Options in the package, as (module, name, fields)."""
  for module, path in MODULES.items():
    for node in ast.parse(path.read_text()).body:
      if isinstance(node, ast.ClassDef) and node.name.endswith('Options'):
        yield module, node.name, [n.target.id for n in node.body if isinstance(n, ast.AnnAssign)]


def test_every_option_is_read():
  """A field that nothing reads is a dead flag. `program` is read by main, to choose the class."""
  attributes = {node.attr for path in FILES for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
  classes = list(option_classes())
  names = {f'{module.split(".")[-1]}.{name}' for module, name, _ in classes}
  assert names >= {'sft.Options', 'rl.Options', 'probe.Options', 'merge.Options', 'evaluate.Options',
                   'stage.TokenizerOptions', 'loss.LossOptions', 'engine.Options'}
  dead = [f'{module}.{name}.{field}' for module, name, fields in classes for field in fields
          if field not in attributes | {'program'}]
  assert dead == []


def test_every_option_of_a_config_is_documented():
  """The docstring of the class (or of the one it points to) names each field."""
  missing = []
  for module, name, fields in option_classes():
    if place(module)[0] not in ('programs', 'rl'):
      continue
    text = getattr(importlib.import_module(module), name).__doc__
    if 'see there' in text:
      continue
    missing += [f'{module}.{name}.{field}' for field in fields if not re.search(rf'\b{field}\b', text)]
  assert missing == []


MODULES_WITHOUT_JAX = ('verify.pool', 'verify.worker', 'data.tokenizer', 'data.chat', 'data.sources')


@pytest.mark.parametrize('module', MODULES_WITHOUT_JAX)
def test_importing_does_not_import_jax(module):
  heavy = ('jax', 'jaxlib', 'flax', 'tensorflow', 'torch')
  code = f'import sys, {NAME}.{module}; sys.exit(str([m for m in {heavy} if m in sys.modules] or ""))'
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300)
  assert done.stderr.strip() == '', done.stderr
