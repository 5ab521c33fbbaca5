"""Where training examples come from: random-access sources for Grain."""

import gzip
import json
import pathlib
import random

from vibethinker_jax.data import synthetic


class SyntheticExamples:
  """Synthetic problems with one of their worked solutions each: {'prompt', 'response'} by index.

  The solution style is drawn anew for each index, so that over a run the model meets every path to an answer (the
  spectrum of VibeThinker-1.5B §3.3).
  """

  def __init__(self, domains: tuple[str, ...], levels: tuple[int, ...], seed: int, size: int,
               templates: tuple[str, ...] = ()):
    self.domains, self.levels, self.seed, self.size = tuple(domains), tuple(levels), seed, size
    self.templates = tuple(templates)

  def __len__(self) -> int:
    return self.size

  def __getitem__(self, index: int) -> dict:
    domain = self.domains[index % len(self.domains)]
    row = synthetic.problem(domain, 'train', index, self.seed, self.levels, self.templates)
    responses = row['responses']
    style = random.Random(f'{self.seed}/style/{index}').choice(sorted(responses))
    return {'prompt': row['prompt'], 'response': responses[style]}

  def __repr__(self) -> str:  # Grain names the source by this in its state
    return f'SyntheticExamples({self.domains}, {self.levels}, {self.seed}, {self.size}, {self.templates})'


class FileExamples:
  """Examples of a JSON-lines file (.gz too): each line has `prompt` (text or chat messages) and `response`.

  Raises:
    ValueError: a bad line, with file and line number.
  """

  def __init__(self, path: str):
    self.path = path
    self._rows = [_example(path, number, row) for number, row in _lines(path)]

  def __len__(self) -> int:
    return len(self._rows)

  def __getitem__(self, index: int) -> dict:
    return self._rows[index]

  def __repr__(self) -> str:
    return f'FileExamples({self.path})'


def read_problems(path: str) -> list[dict]:
  """Problems to answer from a JSON-lines file (.gz too).

  Each line has `prompt` (text or chat messages; or `problem`) and `answer`, or `tests` for code (see verify.code);
  `id` and `domain` are optional, further fields are kept for your own verifier.

  Returns:
    Rows with prompt, answer, tests, id, domain and whatever else the line had.

  Raises:
    ValueError: a bad line, with file and line number.
  """
  rows = []
  for number, row in _lines(path):
    prompt = row.get('prompt', row.get('problem'))
    tests = row.get('tests')
    if not isinstance(prompt, (str, list)) or not prompt or (tests is None and 'answer' not in row):
      raise ValueError(f'{path}, line {number}: a problem needs prompt (or problem) and answer (or tests); '
                       f'found {", ".join(row)}')
    rows.append(row | {'prompt': prompt, 'answer': '' if tests else str(row['answer']), 'tests': tests,
                       'id': str(row.get('id', number)), 'domain': row.get('domain', pathlib.Path(path).name)})
  return rows


def _example(path, number, row):
  if not isinstance(row.get('prompt'), (str, list)) or not isinstance(row.get('response'), str):
    raise ValueError(f'{path}, line {number}: an example needs prompt and response; found {", ".join(row)}')
  return {'prompt': row['prompt'], 'response': row['response']}


def _lines(path):
  """(line number, object) of each line."""
  if not pathlib.Path(path).is_file():
    raise ValueError(f'no such data file: {path}')
  number = 0
  with (gzip.open if str(path).endswith('.gz') else open)(path, 'rt') as file:
    for number, line in enumerate(file, 1):
      try:
        row = json.loads(line)
      except ValueError as error:
        raise ValueError(f'{path}, line {number}: not JSON ({error})') from error
      if not isinstance(row, dict):
        raise ValueError(f'{path}, line {number}: a JSON object is needed, not {type(row).__name__}')
      yield number, row
  if not number:
    raise ValueError(f'{path} is empty')
