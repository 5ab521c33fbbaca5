"""N-grams of normalised words: what a training text shares with evaluation texts, and how repetitive a trace is."""

from collections.abc import Iterable, Iterator
import itertools
import re
from typing import NamedTuple
import unicodedata

# Chinese characters and kana stand for words: there are no spaces between theirs.
SCRIPTS = '\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff'
WORD = re.compile(f'[{SCRIPTS}]|[^\\W_{SCRIPTS}]+')
FEWEST = 3  # words that a short evaluation text needs to be searched for
LONGEST_CYCLE = 300  # words of a loop
CYCLES = 4  # times that a loop is run through


def words(text: str) -> list[str]:
  """Normalised words (VibeThinker-1.5B §3.5): runs of letters and digits after Unicode NFKC and case folding.

  Punctuation, symbols and white space separate and vanish, so that `$x+2$`, `x + 2` and `\\(x+2\\)` are the same two
  words.
  """
  return WORD.findall(unicodedata.normalize('NFKC', text).casefold())


def grams(found: list[str], n: int) -> Iterator[tuple[str, ...]]:
  """Every run of n words; none where there are fewer."""
  return zip(*(itertools.islice(found, i, None) for i in range(n)))


class Hit(NamedTuple):
  """An n-gram that a training text shares with evaluation texts; text: the number of the first of them in Index."""

  text: int
  gram: tuple[str, ...]


class Index:
  """The n-grams of evaluation texts.

  A text of fewer than n words is one gram as a whole, compared with as many words in a row anywhere in a training text:
  so 'Compute cos 150 degrees' is found before 'Please reason step by step'. (In MATH and GSM8K, problems and solutions,
  this never hits by chance.) Under FEWEST words it would; such texts are left out, their numbers are in `ignored`.

  Args:
    texts: evaluation texts.
    n: words of a gram.
  """

  def __init__(self, texts: Iterable[str], n: int):
    if n < FEWEST:
      raise ValueError(f'n-grams of {n} words would match nearly everything: take at least {FEWEST}; the paper has 10')
    self.n, self.short, self.ignored = n, [], []
    self._grams = {}  # length -> {gram: number of its first text}
    for i, text in enumerate(texts):
      found = words(text)
      size = min(n, len(found))
      if size < FEWEST:
        self.ignored.append(i)
        continue
      if size < n:
        self.short.append(i)
      same_size = self._grams.setdefault(size, {})
      for gram in grams(found, size):
        same_size.setdefault(gram, i)

  def __len__(self) -> int:
    return sum(map(len, self._grams.values()))

  def shared(self, text: str) -> list[Hit]:
    """The n-grams that a training text shares with evaluation texts, each once; of n words first."""
    found, hits = words(text), []
    for size in sorted(self._grams, reverse=True):
      known = self._grams[size]
      if not known.keys().isdisjoint(grams(found, size)):  # seldom; nearly all the time passes here, without a loop
        hits += [Hit(known[gram], gram) for gram in dict.fromkeys(grams(found, size)) if gram in known]
    return hits


def repetition(text: str, n: int = 20) -> float:
  """How repetitive a trace is, from 0 to 1: the n-gram repetition filter of VibeThinker-3B §2.1.

  `1 - distinct / all` over the text's n-grams of normalised words: the share of n-grams that stood before. A text that
  ends in a loop counts as 1, however short the loop is beside the rest: its last words are at least CYCLES times the
  same ones, at most LONGEST_CYCLE of them, and at least 2 n words in all.
  """
  found = words(text)
  if _ends_in_a_loop(found, 2 * n):
    return 1.0
  total = len(found) - n + 1
  return 1 - len(set(grams(found, n))) / total if total > 0 else 0.0


def _ends_in_a_loop(found: list[str], least: int) -> bool:
  last = found[-LONGEST_CYCLE * CYCLES :]
  for period in range(1, min(LONGEST_CYCLE, len(last) // CYCLES) + 1):
    length = max(period * CYCLES, least)  # whole cycles, or more of short ones
    if length <= len(last) and last[-period:] == last[-2 * period : -period]:
      tail = last[-length:]
      if tail[period:] == tail[:-period]:
        return True
  return False
