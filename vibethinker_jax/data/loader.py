"""Packed SFT batches through Grain: mix, tokenise, pack with segment ids and restarted positions, batch, resume."""

import logging
from typing import Any, Sequence

import grain
from grain import experimental
import numpy as np

from vibethinker_jax.data import chat
from vibethinker_jax.data.tokenizer import Tokenizer

PACKING_BINS = 64  # rows filled at once; 64 leave about 2% padding on the synthetic traces
SEED_STRIDE = 0x10001  # Grain adds the epoch to a source's seed: sources get seeds far apart
MOST_IN_A_ROW = 10_000  # too long: then it is a mistake, and the loader would search for ever
TOO_LONG = ('error', 'drop')
LOG = logging.getLogger('vibethinker_jax')


def encode(tokenizer: Tokenizer, example: dict) -> dict:
  """{'prompt', 'response'} -> next-token prediction arrays of the document, each [l - 1]."""
  ids, mask = chat.encode_example(tokenizer, example['prompt'], example['response'])
  return {'tokens': np.array(ids[:-1], np.int32), 'targets': np.array(ids[1:], np.int32),
          'mask': np.array(mask[1:], np.int32)}


def sft_batches(sources: Sequence[Any], tokenizer: Tokenizer, *, batch_size: int, length: int, seed: int,
                weights: Sequence[float] = (), shuffle: bool = True, too_long: str = 'error', shard_index: int = 0,
                shard_count: int = 1) -> grain.DatasetIterator:
  """Endless iterator of packed batches; `get_state` and `set_state` resume it exactly.

  Args:
    sources: random access, items {'prompt', 'response'}; each has epochs of its own.
    batch_size: rows of this shard's batch.
    length: positions of a row, L.
    weights: of each source, what share of the examples comes from it; needed where there are several.
    shuffle: a new deterministic order in each epoch.
    too_long: what to do with an example that does not fit a row: 'error', or 'drop' with warnings that count them.
    shard_index, shard_count: this host's share of every source; shards are disjoint.

  Yields:
    dict of int32 [batch_size, L]: tokens, targets, mask (1 on response tokens), segment_ids (from 1; 0 padding),
    positions (restarting in each document).

  Raises:
    ValueError: a source with fewer examples than shards, another too_long, weights that do not fit the sources.
  """
  if too_long not in TOO_LONG:
    raise ValueError(f'too_long={too_long!r}: choose from {", ".join(TOO_LONG)}')
  if len(weights or sources) != len(sources) or (len(sources) > 1 and not weights):
    raise ValueError(f'{len(sources)} sources with weights={tuple(weights)}: one weight for each is needed')
  parts = [_share(source, (seed + i * SEED_STRIDE) % 2**32 if shuffle else None, shard_index, shard_count)
           for i, source in enumerate(sources)]
  examples = parts[0] if len(parts) == 1 else grain.MapDataset.mix(parts, weights)
  examples = examples.map(_Encoder(tokenizer, length, too_long == 'drop', sum(map(len, sources))))
  # One reading thread: on a laptop's two cores more of them only take time from XLA.
  rows = experimental.BestFitPackIterDataset(
      examples.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=64)),
      length_struct={'tokens': length, 'targets': length, 'mask': length}, num_packing_bins=PACKING_BINS, seed=seed)
  return iter(rows.map(_rename).batch(batch_size))


def _share(source, seed: int | None, shard_index: int, shard_count: int) -> grain.MapDataset:
  """One shard of a source, repeated without end, in a new order in each epoch."""
  if len(source) < shard_count:
    raise ValueError(f'{source!r} has {len(source)} examples for {shard_count} hosts')
  examples = grain.MapDataset.source(source)
  examples = examples if seed is None else examples.shuffle(seed=seed)
  return examples[shard_index::shard_count].repeat()


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
    text = (f'an example has {len(document["tokens"]) + 1} tokens, a packed row holds {self._length + 1}; it starts '
            f'with {str(example["prompt"])[:80]!r}')
    if not self._drop:
      raise ValueError(f'{text}. Raise the sequence length, or set too_long=drop to leave such examples out')
    self._dropped += 1
    self._in_a_row += 1
    if self._in_a_row >= self._limit:
      raise ValueError(f'{self._in_a_row} examples in a row do not fit: {text}. Raise the sequence length')
    if str(self._dropped).strip('0') == '1':
      LOG.warning('%d of %d examples dropped since the start: they do not fit (the last: %s)', self._dropped,
                  self._seen, text)
    return None


def _rename(row: dict) -> dict:
  return {'tokens': row['tokens'], 'targets': row['targets'], 'mask': row['mask'],
          'segment_ids': row['tokens_segment_ids'], 'positions': row['tokens_positions']}
