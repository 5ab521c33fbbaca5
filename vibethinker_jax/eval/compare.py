"""Several finished evaluations side by side: paired differences with intervals."""

import json
import pathlib
from typing import NamedTuple

from vibethinker_jax.eval import scores

# What of the settings of a set is compared.
ASKED = ('temperature', 'top_p', 'top_k', 'min_p', 'max_tokens', 'samples_asked', 'system', 'prefix', 'stop')
ASKED += ('verifier', 'correct_at')


class Evaluation(NamedTuple):
  """name: of the model. directory: where it lies. result: its result.json."""

  name: str
  directory: pathlib.Path
  result: dict


def read(directories: list[pathlib.Path], names: list[str]) -> list[Evaluation]:
  """Raises ValueError for a directory without a finished evaluation."""
  found = []
  for name, directory in zip(names, directories):
    path = directory / 'result.json'
    if not path.exists():
      raise ValueError(f'{directory} holds no finished evaluation (result.json)')
    result = json.loads(path.read_text())
    if 'sets' not in result or not all('per_problem' in s for s in result['sets'].values()):
      raise ValueError(f'{path} is not the result of vibethinker_jax.evaluate')
    found.append(Evaluation(name, directory, result))
  if len(found) < 2:
    raise ValueError('a comparison needs two evaluations or more')
  return found


def result(evaluations: list[Evaluation]) -> dict:
  """{'models', 'sets': {set: {'score', 'scores', 'differences', 'pass@k', 'notes', 'per_problem'}}} of the sets that
  two or more have. Differences are to the first that has the set, over the problems that both have.

  Raises:
    ValueError: no common set, or sets of one name whose problems differ.
  """
  names = list(dict.fromkeys(name for e in evaluations for name in e.result['sets']))
  found = {}
  for name in names:
    having = [(e.name, e.result['sets'][name]) for e in evaluations if name in e.result['sets']]
    if len(having) < 2:
      continue
    (base, first), others = having[0], having[1:]
    notes = []
    for other, score in others:
      if score['digest'] != first['digest']:
        if not {p['id'] for p in first['per_problem']} & {p['id'] for p in score['per_problem']}:
          raise ValueError(f'{name}: {base} and {other} have no problem in common')
        notes.append(f'{other} was asked in other words, or other problems, than {base}')
      notes += [
        f'{other}: {field}={score.get(field)!r}, {base}: {first.get(field)!r}'
        for field in ASKED
        if score.get(field) != first.get(field)
      ]
    found[name] = {
      'score': first['score'],
      'base': base,
      'notes': notes,
      'scores': {e: score['avg'] for e, score in having},
      'cons': {e: score['cons'] for e, score in having},
      'cut_off': {e: score['cut_off'] for e, score in having},
      'tokens': {e: score['tokens'] and score['tokens']['mean'] for e, score in having},
      'pass@k': {e: score['pass@k'] for e, score in having},
      'differences': {e: scores.difference(first, score) for e, score in others},
      'per_problem': {e: {p['id']: p['avg'] for p in score['per_problem']} for e, score in having},
    }
  if not found:
    raise ValueError(f'no set is in two of the evaluations: {", ".join(names)}')
  return {
    'models': [e.name for e in evaluations],
    'directories': [str(e.directory) for e in evaluations],
    'sets': found,
  }


def labels(paths: list[str]) -> list[str]:
  """Short different names of checkpoints: as many of the last parts of their paths as that takes."""
  parts = [pathlib.Path(path).resolve().parts for path in paths]
  for n in range(1, max(map(len, parts)) + 1):
    names = ['-'.join(p[-n:]).strip('-/') for p in parts]
    if len(set(names)) == len(names):
      return names
  raise ValueError(f'the same directory is named twice: {", ".join(paths)}')
