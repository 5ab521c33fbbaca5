"""Which problems of an evaluation set share an n-gram of words with training data (VibeThinker-1.5B §3.5).

The same words and rules as `decontaminate`, seen from the other side: there training rows are dropped, here the
problems are named, so that a score can be given with and without them.
"""

import collections
from collections.abc import Iterable
from typing import NamedTuple

from vibethinker_jax.data import ngrams

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
