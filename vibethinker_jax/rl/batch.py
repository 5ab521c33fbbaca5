"""From groups of responses to packed training rows: never padded to the cap, and short responses in short rows."""

import numpy as np

INTS = ('tokens', 'targets', 'positions', 'segment_ids', 'mask', 'responses')
FLOATS = ('behaviour_logps', 'token_weights')


def pack(lengths, row_length: int) -> list[list[int]]:
  """First-fit decreasing: which documents share a row.

  Raises:
    ValueError: a document is longer than a row.
  """
  lengths = np.asarray(lengths)
  if len(lengths) and lengths.max() > row_length:
    raise ValueError(f'a response with its prompt has {lengths.max()} tokens, rows hold {row_length}: raise row_length')
  rows, room = [], np.zeros(0, int)
  for i in np.argsort(-lengths, kind='stable'):
    fits = np.flatnonzero(room >= lengths[i])
    if fits.size:
      row = fits[0]
    else:
      row = len(rows)
      rows.append([])
      room = np.append(room, row_length)
    rows[row].append(int(i))
    room[row] -= lengths[i]
  return rows


def row_lengths(row_length: int, shortest: int) -> tuple[int, ...]:
  """The lengths of rows to use, ascending: `row_length`, a half and a quarter of it, none shorter than `shortest`."""
  return tuple(row_length >> i for i in (2, 1, 0) if i == 0 or (row_length % 2**i == 0 and row_length >> i >= shortest))


def plan(lengths, row_lengths: tuple[int, ...], micro_batch: int) -> list[tuple[int, list[list[list[int]]]]]:
  """Which documents share a row, and which rows a micro-batch.

  Attention reads a whole row, so that a document costs more the longer its row is: each goes into the shortest kind of
  row that holds it. Only whole micro-batches are made of the shorter kinds, what is left over moves to the next kind.

  Args:
    lengths: of the documents. row_lengths: of the kinds of rows, ascending.
    micro_batch: rows of a micro-batch of the longest kind; the others have the same number of positions.

  Returns:
    [(row length, [micro-batch: [row: [document]]])], the kinds in use; only the last micro-batch of the longest kind
    may have fewer rows.

  Raises:
    ValueError: a document is longer than the longest row.
  """
  lengths, kinds, waiting, shorter = np.asarray(lengths, int), [], [], 0
  for length in row_lengths:
    last = length == row_lengths[-1]
    fits = (lengths > shorter) & ((lengths <= length) | last)
    documents, shorter = np.array(waiting + np.flatnonzero(fits).tolist(), int), length
    rows = [documents[row].tolist() for row in pack(lengths[documents], length)]
    rows.sort(key=lambda row: -lengths[row].sum())  # the emptiest are left over
    size = micro_batch * row_lengths[-1] // length
    whole = len(rows) if last else len(rows) // size * size
    waiting = [document for row in rows[whole:] for document in row]
    if whole:
      kinds.append((length, [rows[i:i + size] for i in range(0, whole, size)]))
  return kinds


def rl_batches(prompts, tokens_PGL, logps_PGL, lengths_PG, use_PG, *, row_lengths: tuple[int, ...],
               micro_batch: int) -> list[tuple[dict, int]]:
  """Packs the responses with use_PG into micro-batches.

  Args:
    prompts: P lists of token ids.
    tokens_PGL, logps_PGL, lengths_PG: as sampler.engine.Responses.
    use_PG: bool, which responses to train on.
    row_lengths, micro_batch: see plan.

  Returns:
    [(arrays, count)], one for each row length in use: dict of arrays [n, rows, row length], of which the first `count`
    micro-batches are filled; n is the next power of two (few shapes to compile). The arrays: tokens, targets, positions,
    segment_ids (int32; 0 padding), mask (int32; 1 on response tokens), behaviour_logps (float32), responses (int32:
    p * G + g of each position, 0 on padding), and token_weights (float32: 1 / length of the response, 0 off it), which
    make sequence means of sums.

  Raises:
    ValueError: a response with its prompt is longer than the longest row.
  """
  documents = [(int(p), int(g)) for p, g in np.argwhere(use_PG)]
  groups, found = (prompts, tokens_PGL, logps_PGL, lengths_PG), []
  lengths = [len(prompts[p]) + lengths_PG[p, g] - 1 for p, g in documents]
  for length, micros in plan(lengths, row_lengths, micro_batch):
    rows = micro_batch * row_lengths[-1] // length
    n = 1 << (len(micros) - 1).bit_length()
    arrays = {name: np.zeros((n, rows, length), np.int32) for name in INTS}
    arrays |= {name: np.zeros((n, rows, length), np.float32) for name in FLOATS}
    for i, micro in enumerate(micros):
      for r, members in enumerate(micro):
        _fill({name: x[i, r] for name, x in arrays.items()}, [documents[d] for d in members], *groups)
    found.append((arrays, len(micros)))
  return found


def _fill(row: dict, documents, prompts, tokens_PGL, logps_PGL, lengths_PG) -> None:
  """Writes documents (p, g) into the arrays [L] of one row, one after another."""
  start, G = 0, lengths_PG.shape[1]
  for segment, (p, g) in enumerate(documents):
    n, m = int(lengths_PG[p, g]), len(prompts[p])
    ids = np.concatenate([prompts[p], tokens_PGL[p, g, :n]])
    span, answer = slice(start, start + n + m - 1), slice(start + m - 1, start + n + m - 1)
    row['tokens'][span], row['targets'][span] = ids[:-1], ids[1:]
    row['positions'][span], row['segment_ids'][span] = np.arange(n + m - 1), segment + 1
    row['mask'][answer], row['responses'][span] = 1, p * G + g
    row['behaviour_logps'][answer], row['token_weights'][answer] = logps_PGL[p, g, :n], 1.0 / n
    start += n + m - 1
