"""Which problems of an evaluation set share an n-gram of words with training data (VibeThinker-1.5B §3.5).

The same words and rules as `decontaminate`, seen from the other side: there training rows are dropped, here the
problems are named, so that a score can be given with and without them.
"""

import collections
from collections.abc import Iterable
from typing import NamedTuple

from vibethinker_jax.data import fields as fields_lib, ngrams, sources, templates
from vibethinker_jax.data.files import rows as rows_lib
from vibethinker_jax.data.layouts import response_layouts

WORDS = 10
BOILERPLATE = 3  # problems of the set: an n-gram that stands in so many is the set's way of asking


class Overlap(NamedTuple):
  """shared: {problem's index: (n-gram, place of the first training row that has it)}. boilerplate: n-grams that did not
  count. too_short: indices of problems with fewer than ngrams.FEWEST words, which cannot be looked for."""

  shared: dict
  boilerplate: list
  too_short: list


def find(problems: list[str], training: Iterable[tuple[str, str]], n: int = WORDS) -> Overlap:
  """Looks for the problems' n-grams in (place, text) pairs of training rows.

  A problem of fewer than n words is one gram as a whole. N-grams in BOILERPLATE or more problems of the set ('reason
  step by step ...') say nothing about a problem and do not count.
  """
  owners, short, sizes = collections.defaultdict(set), [], set()
  for p, text in enumerate(problems):
    found = ngrams.words(text)
    size = min(n, len(found))
    if size < ngrams.FEWEST:
      short.append(p)
      continue
    sizes.add(size)
    for gram in ngrams.grams(found, size):
      owners[gram].add(p)
  common = {gram for gram, members in owners.items() if len(members) >= BOILERPLATE}
  wanted = {gram: members for gram, members in owners.items() if gram not in common}
  shared = {}
  for place, text in training:
    found = ngrams.words(text)
    for size in sizes:
      if not wanted.keys().isdisjoint(ngrams.grams(found, size)):
        for gram in ngrams.grams(found, size):
          for p in wanted.get(gram, ()):
            shared.setdefault(p, (' '.join(gram), place))
  return Overlap(dict(sorted(shared.items())), sorted(' '.join(gram) for gram in common), short)


def with_training(problems: dict[str, list[dict]], files: str, fields: list[str], remedy: str) -> dict:
  """Which problems of each set share words with training files.

  Args:
    problems: the rows of each set. files: of training, as of a data option. fields, remedy: see texts.

  Returns:
    {set: {'trained_on', 'training_rows', 'ngram', 'shared': {id: [n-gram, place]}, 'boilerplate', 'too_short'}}.
  """
  rows = rows_lib.Rows(rows_lib.paths(files))
  given = lambda: ((rows.location(i), text) for i in range(len(rows)) for text in texts(rows, i, fields, remedy))
  found = {}
  for name, asked in problems.items():
    hit = find([row['problem'] for row in asked], given())
    found[name] = {
      'trained_on': files,
      'training_rows': len(rows),
      'ngram': WORDS,
      'shared': {asked[p]['id']: list(why) for p, why in hit.shared.items()},
      'boilerplate': hit.boilerplate,
      'too_short': [asked[p]['id'] for p in hit.too_short],
    }
  return found


def texts(rows: rows_lib.Rows, i: int, fields: list[str], remedy: str) -> list[str]:
  """The texts of a row's fields; of chat messages those of all but the system, which says the same in every row.

  Args:
    fields: as of a field option; 'prompt' and 'response' are found. remedy: the end of an error's line.

  Raises:
    ValueError: a field that is no text.
  """
  row, found = rows[i], []
  for name in fields:
    try:
      if name == 'prompt':
        value = row.get('worded') is True and row.get('problem') or fields_lib.prompt(row, sources.DataOptions())
      elif name == 'response':
        value = response_layouts.every(row) or templates.lookup(row, fields_lib.RESPONSE) or []
      else:
        value = fields_lib.field(row, name)
    except ValueError as error:
      raise ValueError(f'{rows.location(i)}: {error}; {remedy}') from error
    values = [
      x.get('content') if isinstance(x, dict) else x
      for x in (value if isinstance(value, list) else [value])
      if not (isinstance(x, dict) and x.get('role') == 'system')
    ]
    if not all(isinstance(v, str) for v in values):
      raise ValueError(
        f'{rows.location(i)}: the field {name!r} must be text, texts or chat messages; found {", ".join(row)}; {remedy}'
      )
    found += values
  return found
