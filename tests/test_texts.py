"""No text of ours has a placeholder that was never filled in: in files, in messages, in synthetic problems."""

import ast
import pathlib
import re

import pytest

from vibethinker_jax.data import synthetic

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = [
  path
  for name in ('vibethinker_jax', 'configs', 'launch', 'tests')
  for path in sorted((ROOT / name).rglob('*'))
  if path.is_file() and '__pycache__' not in path.parts and path != pathlib.Path(__file__)
]
TEXTS = [
  ROOT / name for name in ('README.md', 'CHANGELOG.md', 'CITATION.cff', 'setup.py', 'pyproject.toml', '.ci/run')
] + [path for path in SOURCES if path.suffix != '.png']
MARKS = re.compile(
  r'\b(?:TBD|TBA|TODO|FIXME|XXX+|TKTK?|NNN+|PLACEHOLDER|GATES|FRESH|FILL_?IN|CHANGE_?ME)\b|\?\?\?+|@@\w+@@|'
  r'<(?:FILL|INSERT|YOUR)[^>\n]*>|[Ll]orem ipsum'
)
ACRONYMS = {'AVX', 'GFLOP', 'TRL'}
UNFILLED = re.compile(r'(?<![{\\\w}])\{[A-Za-z_]\w*\}(?!\})')
SPEAKERS = ('print', 'say', 'info', 'warning', 'error', 'SystemExit', 'UsageError', 'write')


def marks(text: str) -> list[str]:
  return [match[0] for match in MARKS.finditer(text)]


def strange_capitals(text: str, names: set[str]) -> list[str]:
  """Words in capitals that name nothing in the sources: an acronym that is missing in ACRONYMS, or a value to be filled
  in."""
  found = re.findall(r'(?<![\w-])[A-Z][A-Z_]{2,}(?!\w)', text)
  return sorted(set(found) - names - ACRONYMS)


def unfilled(source: str) -> list[str]:
  """Names in braces in what is raised or printed: the f before the string is missing."""
  found = []
  for node in ast.walk(ast.parse(source)):
    spoken = (
      isinstance(node, ast.Raise)
      or isinstance(node, ast.Call)
      and (getattr(node.func, 'attr', getattr(node.func, 'id', '')) in SPEAKERS)
    )
    for part in ast.walk(node) if spoken else ():
      if isinstance(part, ast.Constant) and isinstance(part.value, str):
        found += [f'line {part.lineno}: {match[0]}' for match in UNFILLED.finditer(part.value)]
  return found


def test_files():
  assert len(TEXTS) > 150
  assert {str(path): found for path in TEXTS if (found := marks(path.read_text()))} == {}


def test_capitals_of_the_readme_are_names():
  names = {word for path in SOURCES for word in re.findall(r'\w+', path.read_text())}
  names |= {path.stem for path in ROOT.iterdir()}
  assert strange_capitals((ROOT / 'README.md').read_text(), names) == []


def test_messages():
  files = [path for path in SOURCES if path.suffix == '.py' and 'tests' not in path.relative_to(ROOT).parts]
  assert {str(path): found for path in files if (found := unfilled(path.read_text()))} == {}


@pytest.mark.parametrize('domain', synthetic.DOMAINS)
def test_synthetic_problems(domain):
  for row in synthetic.problems(domain, 'train', 150, 0, (1, 2, 3), ()):
    for text in (row['prompt'], str(row['answer']), *row['responses'].values()):
      assert not UNFILLED.search(text) and 'None' not in text, text


@pytest.mark.parametrize(
  'text', ['takes GATES s', 'FRESH clone', 'speed: TBD', 'XXX tokens/s', '???', 'clone <YOUR ADDRESS>']
)
def test_a_mark_is_found(text):
  assert marks(text)


def test_other_placeholders_are_found():
  assert strange_capitals('It takes SECONDS s on a TPU with AVX.', {'TPU'}) == ['SECONDS']
  assert unfilled("raise ValueError('no {name} here')") and unfilled("print(f'{a}' ' of {b}')")
  assert not unfilled("raise ValueError(f'no {name} here')\nx = '{problem}'") and UNFILLED.search(
    'If x > {k}, how much is it?'
  )
