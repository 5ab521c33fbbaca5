"""Packed SFT batches through Grain: tokenise, pack with segment ids and restarted positions, batch, resume."""

import grain
from grain import experimental
import numpy as np

from vibethinker_jax.data import chat
from vibethinker_jax.data.tokenizer import Tokenizer

PACKING_BINS = 64  # rows filled at once; 64 leave about 2% padding on the synthetic traces


def encode(tokenizer: Tokenizer, length: int, example: dict) -> dict:
  """{'prompt', 'response'} -> next-token prediction arrays of the document, each [l - 1].

  Raises:
    ValueError: the document does not fit a row.
  """
  ids, mask = chat.encode_example(tokenizer, example['prompt'], example['response'])
  if len(ids) - 1 > length:
    raise ValueError(f'an example has {len(ids)} tokens, a packed row holds {length + 1}: raise the sequence length '
                     f'or drop long examples. It starts with {str(example["prompt"])[:80]!r}')
  return {'tokens': np.array(ids[:-1], np.int32), 'targets': np.array(ids[1:], np.int32),
          'mask': np.array(mask[1:], np.int32)}


def sft_batches(source, tokenizer: Tokenizer, *, batch_size: int, length: int, seed: int, shuffle: bool = True,
                shard_index: int = 0, shard_count: int = 1) -> grain.DatasetIterator:
  """Endless iterator of packed batches; `get_state` and `set_state` resume it exactly.

  Args:
    source: random access, items {'prompt', 'response'}.
    batch_size: rows of this shard's batch.
    length: positions of a row, L.
    shuffle: a new deterministic order in each epoch.
    shard_index, shard_count: this host's share of the source; shards are disjoint.

  Yields:
    dict of int32 [batch_size, L]: tokens, targets, mask (1 on response tokens), segment_ids (from 1; 0 padding),
    positions (restarting in each document).
  """
  examples = grain.MapDataset.source(source)
  examples = examples.shuffle(seed=seed) if shuffle else examples
  examples = examples[shard_index::shard_count].repeat()
  examples = examples.map(lambda example: encode(tokenizer, length, example))
  # One reading thread: on a laptop's two cores more of them only take time from XLA.
  rows = experimental.BestFitPackIterDataset(
      examples.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=64)),
      length_struct={'tokens': length, 'targets': length, 'mask': length}, num_packing_bins=PACKING_BINS, seed=seed)
  return iter(rows.map(_rename).batch(batch_size))


def _rename(row: dict) -> dict:
  return {'tokens': row['tokens'], 'targets': row['targets'], 'mask': row['mask'],
          'segment_ids': row['tokens_segment_ids'], 'positions': row['tokens_positions']}
