"""From groups of responses to packed training rows: never padded to the cap."""

import numpy as np


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


def rl_batch(prompts, tokens_PGL, logps_PGL, lengths_PG, use_PG, *, row_length: int, rows_multiple: int) -> dict:
  """Packs the responses with use_PG into rows.

  Args:
    prompts: P lists of token ids.
    tokens_PGL, logps_PGL, lengths_PG: as sampler.engine.Responses.
    use_PG: bool, which responses to train on.
    row_length: positions of a row.
    rows_multiple: the number of rows is rounded up to a multiple of it (few shapes to compile).

  Returns:
    dict of arrays [R, row_length]: tokens, targets, positions, segment_ids (int32; 0 padding), mask (int32; 1 on
    response tokens), behaviour_logps (float32), responses (int32: p * G + g of each position, 0 on padding), and
    token_weights (float32: 1 / length of the response, 0 off it), which make sequence means of sums.
  """
  G = lengths_PG.shape[1]
  docs = [(p, g) for p, g in np.argwhere(use_PG)]
  rows = pack([len(prompts[p]) + lengths_PG[p, g] - 1 for p, g in docs], row_length)
  count = max(1, -(-len(rows) // rows_multiple)) * rows_multiple
  ints = {name: np.zeros((count, row_length), np.int32)
          for name in ('tokens', 'targets', 'positions', 'segment_ids', 'mask', 'responses')}
  floats = {name: np.zeros((count, row_length), np.float32) for name in ('behaviour_logps', 'token_weights')}
  for r, members in enumerate(rows):
    start = 0
    for segment, d in enumerate(members):
      p, g = docs[d]
      n, m = int(lengths_PG[p, g]), len(prompts[p])
      ids = np.concatenate([prompts[p], tokens_PGL[p, g, :n]])
      span, answer = slice(start, start + n + m - 1), slice(start + m - 1, start + n + m - 1)
      ints['tokens'][r, span], ints['targets'][r, span] = ids[:-1], ids[1:]
      ints['positions'][r, span], ints['segment_ids'][r, span] = np.arange(n + m - 1), segment + 1
      ints['mask'][r, answer], ints['responses'][r, span] = 1, p * G + g
      floats['behaviour_logps'][r, answer], floats['token_weights'][r, answer] = logps_PGL[p, g, :n], 1.0 / n
      start += n + m - 1
  return ints | floats
