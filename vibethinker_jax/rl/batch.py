"""From groups of responses to packed training rows: never padded to the cap, and short responses in short rows."""

from typing import NamedTuple

import numpy as np

INTS = ('tokens', 'targets', 'positions', 'segment_ids', 'mask', 'responses')
FLOATS = ('behaviour_logps', 'token_weights')


class Groups(NamedTuple):
  """P prompts with G responses each.

  Attributes:
    prompts: P lists of token ids.
    tokens_PGL, logps_PGL, lengths_PG: as of sampler.engine.Responses.
    use_PG: bool, which responses to train on.
  """

  prompts: list[list[int]]
  tokens_PGL: np.ndarray
  logps_PGL: np.ndarray
  lengths_PG: np.ndarray
  use_PG: np.ndarray


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
      kinds.append((length, [rows[i : i + size] for i in range(0, whole, size)]))
  return kinds


def plan_shared(lengths, owners, row_length: int, micro_batch: int, stems_per_row: int):
  """The same where the responses of a prompt share it: a row holds responses of one prompt, and each micro-batch the
  prompts of its rows in rows of their own.

  Args:
    lengths: of the responses. owners: the prompt of each. stems_per_row: prompts that one row holds.

  Returns:
    [(prompts, [row: [response]])], the micro-batches.

  Raises:
    ValueError: a response is longer than a row, or a micro-batch has no room for a prompt and a response.
  """
  if micro_batch < 2:
    raise ValueError(
      f'micro_batch={micro_batch}: with shared prompts a micro-batch has a row of prompts and at least one of responses'
    )
  lengths, owners, micros = np.asarray(lengths, int), np.asarray(owners, int), []
  for p in np.unique(owners).tolist():
    documents = np.flatnonzero(owners == p)
    for row in pack(lengths[documents], row_length):
      stems, rows = micros[-1] if micros else ([], [])
      needed = -(-(len(stems) + (p not in stems)) // stems_per_row) + len(rows) + 1
      if not micros or needed > micro_batch:
        stems, rows = [], []
        micros.append((stems, rows))
      if p not in stems:
        stems.append(p)
      rows.append(documents[row].tolist())
  return micros


def rl_batches(
  groups: Groups, *, row_lengths: tuple[int, ...], micro_batch: int, stem: int = 0
) -> list[tuple[dict, int]]:
  """Packs the responses with use_PG into micro-batches.

  Args:
    row_lengths, micro_batch: see plan.
    stem: 0: each response stands behind its prompt. Otherwise the responses share their prompt, which goes through the
      model once in each micro-batch: see plan_shared. Then the number of positions for a prompt, a divisor of the one
      row length.

  Returns:
    [(arrays, count)], one for each row length in use: dict of arrays [n, rows, row length], of which the first `count`
    micro-batches are filled; n is the next power of two (few shapes to compile). The arrays: tokens, targets,
    positions, segment_ids (int32; 0 padding), mask (int32; 1 on response tokens), behaviour_logps (float32), responses
    (int32: p * G + g of each position, 0 on padding), and token_weights (float32: 1 / length of the response, 0 off
    it), which make sequence means of sums. With shared prompts also prefix [n, rows, stem], see transformer.hidden.

  Raises:
    ValueError: a response with its prompt is longer than the longest row, or a shared prompt than its positions.
  """
  documents = [(int(p), int(g)) for p, g in np.argwhere(groups.use_PG)]
  if stem:
    return _shared(documents, groups, row_lengths[-1], micro_batch, stem) if documents else []
  found, lengths = [], [len(groups.prompts[p]) + groups.lengths_PG[p, g] - 1 for p, g in documents]
  for length, micros in plan(lengths, row_lengths, micro_batch):
    arrays = _zeros(len(micros), micro_batch * row_lengths[-1] // length, length)
    for i, micro in enumerate(micros):
      for r, members in enumerate(micro):
        _fill({name: x[i, r] for name, x in arrays.items()}, [documents[d] for d in members], groups)
    found.append((arrays, len(micros)))
  return found


def _shared(documents: list[tuple[int, int]], groups: Groups, row_length: int, micro_batch: int, stem: int):
  """rl_batches with shared prompts."""
  prompts = groups.prompts
  longest = max(len(prompts[p]) for p, _ in documents) - 1
  if longest > stem or row_length % stem:
    raise ValueError(
      f'{stem} positions for a shared prompt: they must hold the {longest} of the longest without its '
      f'last token, and divide the row length {row_length}'
    )
  per_row = row_length // stem
  lengths, owners = [groups.lengths_PG[p, g] for p, g in documents], [p for p, _ in documents]
  micros = plan_shared(lengths, owners, row_length, micro_batch, per_row)
  arrays = _zeros(len(micros), micro_batch, row_length)
  prefix = np.full((*arrays['tokens'].shape[:2], stem), -1, np.int32)
  for i, (stems, rows) in enumerate(micros):
    for s, p in enumerate(stems):
      n, (r, slot) = len(prompts[p]) - 1, divmod(s, per_row)
      span = slice(slot * stem, slot * stem + n)
      arrays['tokens'][i, r, span], arrays['targets'][i, r, span] = prompts[p][:-1], prompts[p][1:]
      arrays['positions'][i, r, span], arrays['segment_ids'][i, r, span] = np.arange(n), slot + 1
    for r, members in enumerate(rows, -(-len(stems) // per_row)):
      found = [documents[d] for d in members]
      _fill({name: x[i, r] for name, x in arrays.items()}, found, groups, shared=True)
      p = found[0][0]
      n = len(prompts[p]) - 1
      prefix[i, r, :n] = stems.index(p) * stem + np.arange(n)
  return [(arrays | {'prefix': prefix}, len(micros))]


def _zeros(count: int, rows: int, length: int) -> dict:
  shape = 1 << (count - 1).bit_length(), rows, length
  return {name: np.zeros(shape, np.int32) for name in INTS} | {name: np.zeros(shape, np.float32) for name in FLOATS}


def _fill(row: dict, documents: list[tuple[int, int]], groups: Groups, shared: bool = False) -> None:
  """Writes documents (p, g) into the arrays [L] of one row, one after another; shared: of the prompt only its last
  token, which predicts the first of the response."""
  prompts, tokens_PGL, logps_PGL, lengths_PG, _ = groups
  end, G = 0, lengths_PG.shape[1]
  for segment, (p, g) in enumerate(documents):
    n, m = int(lengths_PG[p, g]), len(prompts[p])
    first = m - 1 if shared else 0
    ids = np.concatenate([prompts[p], tokens_PGL[p, g, :n]])[first:]
    start, end = end, end + len(ids) - 1
    span, answer = slice(start, end), slice(end - n, end)
    row['tokens'][span], row['targets'][span] = ids[:-1], ids[1:]
    row['positions'][span], row['segment_ids'][span] = np.arange(first, first + end - start), segment + 1
    row['mask'][answer], row['responses'][span] = 1, p * G + g
    row['behaviour_logps'][answer], row['token_weights'][answer] = logps_PGL[p, g, :n], 1.0 / n
