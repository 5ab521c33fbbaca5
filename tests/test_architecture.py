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

BASE = ('config', 'sharding', 'checkpoint')  # files at top level that are no commands
# room: (floor, step). A file imports its own room, rooms of lower floors, and of its own wing (the first part of the
# name) those of lower steps.
ROOMS = {
  'runtime': (0, 0),
  '': (1, 0),
  'model.kernels': (2, 0),
  'model': (2, 1),
  'model.formats': (2, 2),
  'data.files': (2, 0),
  'data.synthetic': (2, 0),
  'data.tokens': (2, 0),
  'data.layouts': (2, 1),
  'data': (2, 2),
  'verify.shared': (2, 0),
  'verify.maths': (2, 1),
  'verify.code.sandbox': (2, 1),
  'verify.code': (2, 2),
  'verify': (2, 3),
  'train': (3, 0),
  'sampler': (3, 0),
  'eval': (4, 0),
  'eval.pages': (4, 1),
  'rl': (4, 0),
  'programs': (5, 0),
  'aot.compilers': (6, 0),
  'aot.programs': (6, 1),
  'aot.estimates': (6, 1),
  'aot': (6, 2),
  'commands': (7, 0),
}
SHARED = ('verify.verdict', 'verify.frames', 'verify.parts')  # of the wing: every room of it may import them
# Doors: names for users, which stand with the room that they open and not with the folder that they lie in.
DOORS = {'model.hf': 'model.formats', 'verify.maths.corpus': 'verify', 'verify.code.sandbox.__main__': 'verify'}


def module_of(path: pathlib.Path) -> str:
  parts = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module_of(path): path for path in FILES}


def place(module: str) -> str:
  """The room of a module of the package."""
  name = module.partition('.')[2]
  if name in DOORS:
    return DOORS[name]
  if name in SHARED:
    return 'verify.shared'
  if name in ('', *BASE):
    return ''
  if name in ROOMS:  # a package itself
    return name
  room = name.rpartition('.')[0] or 'commands'
  assert room in ROOMS, f'{module}: a room that has no floor'
  return room


def may_import(room: str, other: str) -> bool:
  (floor, step), (its_floor, its_step) = ROOMS[room], ROOMS[other]
  return (
    room == other
    or its_floor < floor
    or (its_floor == floor and room.split('.')[0] == other.split('.')[0] and its_step < step)
  )


def imports(path: pathlib.Path) -> set[str]:
  """Full names of what a file imports, in functions too; `from a import b` is a.b if that is a module."""
  found, tree = set(), ast.parse(path.read_text())
  for node in ast.walk(tree):
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
  room = place(importer)
  return [
    f'{importer} ({room}) imports {name} ({place(name)})'
    for name in sorted(own(imported))
    if not may_import(room, place(name))
  ]


def test_files_import_their_own_folder_and_lower_levels_only():
  assert len(FILES) > 50
  assert [line for module, path in MODULES.items() for line in violations(module, imports(path))] == []


@pytest.mark.parametrize(
  'importer, imported, allowed',
  [
    ('eval.passk', 'rl.mgpo', False),
    ('rl.loss', 'eval.passk', False),
    ('data.loader', 'model.config', False),
    ('verify.pool', 'data.tokens.chat', False),
    ('sampler.engine', 'train.step', False),
    ('sharding', 'model.config', False),
    ('programs.rl', 'main', False),
    ('main', 'programs.rl', True),
    ('programs.rl', 'aot.estimates.hlo', False),
    ('plan', 'aot.estimates.hlo', True),
    ('data.files.rows', 'data.layouts.families', False),
    ('model.kernels.splash', 'model.attention', False),
    ('runtime.disk', 'config', False),
    ('eval.scores', 'eval.pages.page', False),
    ('rl.loss', 'train.loss', True),
    ('checkpoint', 'sharding', True),
    ('verify.pool', 'verify.maths.answers', True),
    ('verify.maths.answers', 'verify.pool', False),
    ('verify.code.sandbox.client', 'verify.code.asserts', False),
  ],
)
def test_the_rule_itself(importer, imported, allowed):
  assert (violations(f'{NAME}.{importer}', {f'{NAME}.{imported}'}) == []) == allowed


def test_no_import_cycles():
  """Of files, imports inside functions counted (sympy's part is imported by the first answer that needs it), and of
  rooms."""
  graph = {module: own(imports(path)) & MODULES.keys() for module, path in MODULES.items()}
  no_cycle(graph)
  rooms = {place(module): set() for module in MODULES}
  for module, others in graph.items():
    rooms[place(module)] |= {place(other) for other in others}
  no_cycle(rooms)


def no_cycle(graph: dict[str, set[str]]) -> None:
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
    if place(module).split('.')[0] in ('data', 'verify'):
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
  """ml_collections, what makes a rehearsal of a recipe, which imports no JAX, and what reads another config."""
  paths = sorted((ROOT / 'configs').glob('*.py'))
  assert paths
  for path in paths:
    assert (
      'ml_collections' in imports(path) <= {'ml_collections', 'pathlib', 'importlib.util', f'{NAME}.programs.smaller'}
    ), path
  assert 'jax' not in outside(f'{NAME}.programs.smaller')


def option_classes():
  """Every NamedTuple called Options or ...Options in the package, as (module, name, fields)."""
  for module, path in MODULES.items():
    for node in ast.parse(path.read_text()).body:
      if isinstance(node, ast.ClassDef) and node.name.endswith('Options'):
        yield module, node.name, [n.target.id for n in node.body if isinstance(n, ast.AnnAssign)]


def test_every_option_is_read():
  """A field that nothing reads is a dead flag. `program` is read by main, to choose the class."""
  attributes = {
    node.attr
    for path in FILES
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
  }
  classes = list(option_classes())
  names = {f'{module.split(".")[-1]}.{name}' for module, name, _ in classes}
  assert names >= {
    'sft.Options',
    'rl.Options',
    'probe.Options',
    'merge.Options',
    'evaluate.Options',
    'stage.TokenizerOptions',
    'loss.LossOptions',
    'request.Options',
  }
  dead = [
    f'{module}.{name}.{field}'
    for module, name, fields in classes
    for field in fields
    if field not in attributes | {'program'}
  ]
  assert dead == []


def test_every_option_of_a_config_is_documented():
  """The docstring of the class (or of the one it points to) names each field."""
  missing = []
  for module, name, fields in option_classes():
    if place(module) not in ('programs', 'rl'):
      continue
    text = getattr(importlib.import_module(module), name).__doc__
    if 'see there' in text:
      continue
    missing += [f'{module}.{name}.{field}' for field in fields if not re.search(rf'\b{field}\b', text)]
  assert missing == []


MODULES_WITHOUT_JAX = ('verify.pool', 'verify.worker', 'data.tokens.tokenizer', 'data.tokens.chat', 'data.sources')


@pytest.mark.parametrize('module', MODULES_WITHOUT_JAX)
def test_importing_does_not_import_jax(module):
  heavy = ('jax', 'jaxlib', 'flax', 'tensorflow', 'torch')
  code = f'import sys, {NAME}.{module}; sys.exit(str([m for m in {heavy} if m in sys.modules] or ""))'
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300)
  assert done.stderr.strip() == '', done.stderr
