"""Packed SFT batches through Grain: mix, tokenise, pack with segment ids and restarted positions, batch, resume."""

from collections.abc import Sequence
import logging
from typing import Any, NamedTuple

import grain
from grain import experimental
import numpy as np

from vibethinker_jax.data.tokens import chat
from vibethinker_jax.data.tokens.tokenizer import Tokenizer

# Rows filled at once. Of solutions of MATH, and of long reasoning about its problems in rows of 8K, 64 leave 4 and 10%
# of padding, 256 leave 2 and 3%; but all are filled before the first row comes out, so long rows (32K: 1%) have fewer,
# and small sets as many as they have examples.
PACKING_BINS, FEWEST_BINS, BIN_POSITIONS = 256, 64, 2**21
SEED_STRIDE = 0x10001  # Grain adds the epoch to a source's seed: sources get seeds far apart
MOST_IN_A_ROW = 10_000  # too long: then it is a mistake, and the loader would search for ever
TOO_LONG = ('error', 'drop')
LOG = logging.getLogger('vibethinker_jax')


class Mixture(NamedTuple):
  """sources: random access, items {'prompt', 'response'}; each has epochs of its own. weights: of each source, what
  share of the examples comes from it; needed where there are several."""

  sources: Sequence[Any]
  weights: Sequence[float] = ()

  def sizes(self) -> list[int]:
    return [len(source) for source in self.sources]


def encode(tokenizer: Tokenizer, example: dict) -> dict:
  """A row with prompt (and prefix) and response -> next-token prediction arrays of the document, each [l - 1]."""
  ids, mask = chat.encode_example(tokenizer, example)
  return {
    'tokens': np.array(ids[:-1], np.int32),
    'targets': np.array(ids[1:], np.int32),
    'mask': np.array(mask[1:], np.int32),
  }


class Batches:
  """Endless iterator of packed batches, the rows of one host; `get_state` and `set_state` resume it exactly.

  The data is cut into `streams` of examples, each packed by itself into an equal part of every batch. A host reads the
  streams that its rows come from: what a batch holds depends on the number of streams, not on the number of hosts.
  """

  def __init__(self, streams: dict[int, grain.DatasetIterator], per_stream: int, rows: Sequence[int]):
    self._streams, self._per_stream, self._rows = streams, per_stream, rows

  def __iter__(self):
    return self

  def __next__(self) -> dict[str, np.ndarray]:
    found = {(s, i): next(stream) for s, stream in self._streams.items() for i in range(self._per_stream)}
    rows = [found[divmod(row, self._per_stream)] for row in self._rows]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

  def get_state(self) -> dict[str, dict]:
    """The positions of the streams that this host reads; those of all hosts together are the position of the data."""
    return {str(s): stream.get_state() for s, stream in self._streams.items()}

  def set_state(self, state: dict[str, dict]) -> None:
    """Takes a position of the data, whatever the number of hosts was."""
    for s, stream in self._streams.items():
      stream.set_state(state[str(s)])


def sft_batches(
  mixture: Mixture,
  tokenizer: Tokenizer,
  *,
  batch_size: int,
  length: int,
  seed: int,
  too_long: str = 'error',
  streams: int = 1,
  rows: Sequence[int] | None = None,
) -> Batches:
  """Packed batches; each epoch of a source has a deterministic order of its own.

  Args:
    batch_size: rows of a batch, over all hosts.
    length: positions of a row, L.
    too_long: what to do with an example that does not fit a row: 'error', or 'drop' with warnings that count them.
    streams: see Batches; batch_size is a multiple of it.
    rows: those that this host needs; default all.

  Yields:
    dict of int32 [rows, L]: tokens, targets, mask (1 on response tokens), segment_ids (from 1; 0 padding),
    positions (restarting in each document).

  Raises:
    ValueError: a source with fewer examples than streams, streams that do not divide the batch, another too_long,
      weights that do not fit the sources.
  """
  if too_long not in TOO_LONG:
    raise ValueError(f'too_long={too_long!r}: choose from {", ".join(TOO_LONG)}')
  sources, weights = mixture
  if len(weights or sources) != len(sources) or (len(sources) > 1 and not weights):
    raise ValueError(f'{len(sources)} sources with weights={tuple(weights)}: one weight for each is needed')
  if streams < 1 or batch_size % streams:
    raise ValueError(f'batch_size={batch_size} must be a multiple of streams={streams}')
  rows = range(batch_size) if rows is None else rows
  per_stream = batch_size // streams
  needed = sorted({row // per_stream for row in rows})
  encoder = lambda: _Encoder(tokenizer, length, too_long == 'drop', sum(mixture.sizes()))
  return Batches({s: _stream(mixture, encoder(), length, seed, s, streams) for s in needed}, per_stream, rows)


def _stream(mixture: Mixture, encoder, length: int, seed: int, index: int, count: int) -> grain.DatasetIterator:
  """Packed rows of one stream."""
  parts = [_share(source, (seed + i * SEED_STRIDE) % 2**32, index, count) for i, source in enumerate(mixture.sources)]
  examples = parts[0] if len(parts) == 1 else grain.MapDataset.mix(parts, mixture.weights)
  examples = examples.map(encoder)
  # One reading thread: on a laptop's two cores more of them only take time from XLA.
  bins = min(PACKING_BINS, max(FEWEST_BINS, BIN_POSITIONS // length), sum(mixture.sizes()))
  rows = experimental.BestFitPackIterDataset(
    examples.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=64)),
    length_struct={'tokens': length, 'targets': length, 'mask': length},
    num_packing_bins=bins,
    seed=seed,
  )
  return iter(rows.map(_rename))


def _share(source, seed: int, index: int, count: int) -> grain.MapDataset:
  """One stream's share of a source, repeated without end, in a new order in each epoch."""
  if len(source) < count:
    raise ValueError(f'{source!r} has {len(source)} examples for {count} streams')
  return grain.MapDataset.source(source).shuffle(seed=seed)[index::count].repeat()


class _Encoder:
  """Documents that fit a row. Of the others the first is an error, or each becomes None, which Grain leaves out, with a
  warning at 1, 10, 100, ... of them."""

  def __init__(self, tokenizer: Tokenizer, length: int, drop: bool, size: int):
    self._tokenizer, self._length, self._drop = tokenizer, length, drop
    self._limit = max(MOST_IN_A_ROW, 2 * size)
    self._seen = self._dropped = self._in_a_row = 0

  def __call__(self, example: dict) -> dict | None:
    document = encode(self._tokenizer, example)
    self._seen += 1
    if len(document['tokens']) <= self._length:
      self._in_a_row = 0
      return document
    text = (
      f'an example has {len(document["tokens"]) + 1} tokens, a packed row holds {self._length + 1}; it starts '
      f'with {str(example["prompt"])[:80]!r}'
    )
    if not self._drop:
      raise ValueError(f'{text}. Raise the sequence length, or set too_long=drop to leave such examples out')
    self._dropped += 1
    self._in_a_row += 1
    if self._in_a_row >= self._limit:
      raise ValueError(f'{self._in_a_row} examples in a row do not fit: {text}. Raise the sequence length')
    if str(self._dropped).strip('0') == '1':
      LOG.warning(
        '%d of %d examples dropped since the start: they do not fit (the last: %s)', self._dropped, self._seen, text
      )
    return None


def _rename(row: dict) -> dict:
  return {
    'tokens': row['tokens'],
    'targets': row['targets'],
    'mask': row['mask'],
    'segment_ids': row['tokens_segment_ids'],
    'positions': row['tokens_positions'],
  }
