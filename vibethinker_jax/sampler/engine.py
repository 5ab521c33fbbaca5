"""Rollouts: many prompts, G responses each, through a fixed number of slots that are refilled as responses end.

The sampler knows token ids only. Each device runs its own loop of up to `steps_per_call` decode steps and gives a slot
whose response ended to the next one that waits, inside that loop; the host prefills prompts (once per group), hands out
queues of waiting responses and takes tokens out. At the end the last long responses move into smaller batches.

With several processes each calls `generate` with all prompts and gets all responses; all decide alike.
"""

import collections
import functools
from typing import NamedTuple

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from vibethinker_jax.model.config import ModelConfig, compute_dtype
from vibethinker_jax.sampler import decode, pages, ring
from vibethinker_jax.sampler.request import CACHE_DTYPES, CACHES, Callbacks, Options, Request, Responses, Vocabulary
from vibethinker_jax.sampler.sampling import Distribution
from vibethinker_jax.sharding import AXES, platform

SMALLEST = 8  # the last responses run in half the slots, a quarter, and so on down to slots / SMALLEST


class _Row(NamedTuple):
  """A prompt to prefill, of `responses` that wait for a slot; `made`: tokens of the one response that goes on."""

  prompt: int
  responses: list
  made: int = 0


class _Work(NamedTuple):
  """What a call of generate samples: its arguments, checked, and the sizes that follow from them."""

  config: ModelConfig
  params: dict
  request: Request  # with prompt_ids
  key: jax.Array
  mesh: jax.sharding.Mesh
  layout: decode.Layout
  columns: int
  prompt_columns: int
  slots: int  # of each device
  chunk: int  # prompts of each device prefilled at once: about one batch of slots


class _Queued(NamedTuple):
  """entries: the (prompt, response)s of each device, in `queue` (None before the first); head: how many found a
  slot."""

  queue: decode.Queue | None
  entries: list[list]
  head: np.ndarray

  def waiting(self) -> list[tuple[int, int]]:
    return [entry for entries, head in zip(self.entries, self.head) for entry in entries[head:]]


def generate(
  config: ModelConfig,
  params,
  request: Request,
  options: Options,
  *,
  key,
  mesh,
  vocabulary: Vocabulary,
  callbacks: Callbacks = Callbacks(),
) -> Responses:
  """Samples the responses of a request.

  Args:
    key: every token is a function of (key, prompt id, response index, position) and the model alone.

  Raises:
    ValueError: empty prompts, a prompt that does not fit, or options that contradict each other.
  """
  work = _work(config, params, request, options, key, mesh)
  devices, B = mesh.size, work.slots
  out = _start(request, options.max_tokens)
  weights = decode.rollout_weights(config, params, mesh=mesh)
  bounds = decode.Bounds(jnp.int32(options.max_tokens), jnp.int32(0), jnp.asarray(vocabulary.stop_ids, jnp.int32))
  run = functools.partial(
    decode.decode,
    config,
    options.steps_per_call,
    weights,
    mesh=mesh,
    distribution=distribution(options, vocabulary.size),
  )
  widths = ring.widths(config, B, work.columns, compute_dtype()) if not work.layout.page else (work.columns,)
  width = _fit(widths, work.prompt_columns + options.steps_per_call) if request.earlier is None else work.columns
  slots = decode.empty_slots(config, work.layout, B * devices, width, mesh=mesh)
  here = np.array([d.process_index == jax.process_index() for d in mesh.devices.flat])
  rows = _fresh(out)
  slots, alive, refused = _go_on(work, slots, out, bounds.limit)
  rows.extendleft(reversed(refused))
  queued, row_steps = _Queued(None, [[]] * devices, np.zeros(devices, int)), 0
  while True:
    if callbacks.wanted is not None and not (keep := np.asarray(callbacks.wanted())).all():
      rows, queued, slots, alive = _give_up(work, keep, rows, queued, slots, alive)
    waiting = bool(queued.waiting())
    if not rows and not waiting and not alive.any():
      return out._replace(row_steps=row_steps)
    size = alive.shape[1]
    if queued.queue is None or (rows and not waiting):
      batch = [rows.popleft() for _ in range(min(len(rows), work.chunk * devices))]
      queued = _queue(work, batch, work.prompt_columns, work.chunk, request.group)
      slots = slots._replace(head_D=_put(np.zeros(devices, np.int32), mesh))
    elif not waiting:
      while alive.sum(axis=1).max() <= _smaller(size, B) < size:
        size = _smaller(size, B)
    wider = width
    if width < work.columns:
      longest = np.max(host_array(slots.lengths_B), where=alive.reshape(-1), initial=work.prompt_columns)
      wider = max(width, _fit(widths, int(longest) + options.steps_per_call))
    if (size, wider) != (alive.shape[1], width):
      (slots, alive), width = _move(slots, alive, size, wider, mesh), wider
    smaller = _smaller(size, B)
    floor = size - 1 if rows else smaller if smaller < size else 0
    slots, steps = run(slots=slots, queue=queued.queue, bounds=bounds._replace(floor=jnp.int32(floor)))
    steps = decode.Steps(*host_array(steps))
    alive, queued = steps.alive_B.reshape(devices, -1), queued._replace(head=steps.head_D)
    row_steps += size * int(steps.steps_D.sum())
    rows.extendleft(_collect(out, steps, np.repeat(here, size), callbacks))


def _work(config, params, request: Request, options: Options, key, mesh) -> _Work:
  longest = max((len(p) for p in request.prompts), default=0)
  if not request.prompts or min(len(p) for p in request.prompts) == 0:
    raise ValueError('generate needs at least one prompt, and no empty ones')
  columns = options.columns or -(-(longest + options.max_tokens) // 128) * 128
  prompt_columns = min(columns, options.prompt_columns or -(-longest // 32) * 32)
  if longest > prompt_columns or longest + options.max_tokens > columns:
    raise ValueError(
      f'a prompt of {longest} tokens with max_tokens={options.max_tokens} needs {columns=} and '
      f'{prompt_columns=} to be larger: set them to 0 to fit, or shorten the prompts'
    )
  slots = -(-options.slots // mesh.size)
  if request.prompt_ids is None:
    request = request._replace(prompt_ids=range(len(request.prompts)))
  return _Work(
    config,
    params,
    request,
    key,
    mesh,
    layout(options, columns),
    columns,
    prompt_columns,
    slots,
    max(1, slots // request.group),
  )


def distribution(options: Options, vocab_size: int) -> Distribution:
  """What the tokens of a request are drawn from."""
  return Distribution(options.temperature, options.top_p, vocab_size, options.top_k, options.min_p)


def layout(options: Options, columns: int) -> decode.Layout:
  """How the cache lies in memory.

  Raises:
    ValueError: options that contradict each other, or a cache that is too small for one response.
  """
  if options.cache not in CACHES or options.cache_dtype not in CACHE_DTYPES:
    raise ValueError(
      f"sampler: cache={options.cache!r} must be 'auto', 'ring' or 'pages', "
      f"cache_dtype={options.cache_dtype!r} 'auto' or 'int8'"
    )
  of_pages = options.cache_dtype != 'auto' or options.cache_tokens or options.page
  if options.cache == 'ring' and of_pages:
    raise ValueError("sampler: cache_dtype, cache_tokens and page are of cache='pages', not of a ring")
  paged = options.cache == 'pages' or (options.cache == 'auto' and (of_pages or platform() != 'cpu'))
  if not paged:
    return decode.Layout()
  if 0 < options.cache_tokens < columns:
    raise ValueError(
      f'sampler.cache_tokens={options.cache_tokens} cannot hold one response of {columns} tokens with its '
      'prompt: raise it, or lower max_tokens'
    )
  return decode.Layout(pages.page_tokens(options.page), options.cache_dtype == 'int8', options.cache_tokens)


def _start(request: Request, T: int) -> Responses:
  """Arrays to fill, with what an earlier call sampled."""
  P, group, earlier = len(request.prompts), request.group, request.earlier
  out = Responses(
    np.zeros((P, group, T), np.int32),
    np.zeros((P, group, T), np.float32),
    np.zeros((P, group), np.int32),
    np.zeros((P, group), bool),
    np.zeros((P, group), bool),
    0,
  )
  if earlier is not None:
    if earlier.lengths_PG.shape != (P, group) or earlier.lengths_PG.max(initial=0) > T:
      raise ValueError(
        f'earlier responses of shape {earlier.lengths_PG.shape} with up to '
        f'{earlier.lengths_PG.max(initial=0)} tokens do not fit {P} prompts x {group} of max_tokens={T}'
      )
    n = min(T, earlier.tokens_PGL.shape[2])
    for new, old in zip(out[:2], earlier[:2]):
      new[..., :n] = old[..., :n]
    for new, old in zip(out[2:5], earlier[2:5]):
      new[:] = old
    cut = out.lengths_PG == T
    out.ended_PG[cut] = True
  return out


def _fresh(out: Responses) -> collections.deque[_Row]:
  """Of each prompt the responses that have not begun."""
  begun_PG = out.ended_PG | (out.lengths_PG > 0)
  return collections.deque(
    _Row(p, np.flatnonzero(~begun_G).tolist()) for p, begun_G in enumerate(begun_PG) if not begun_G.all()
  )


def _give_up(work: _Work, keep_P, rows, queued: _Queued, slots, alive):
  """Ends the responses to prompts that are not in keep_P: (rows, queued, slots, alive)."""
  rows = collections.deque(row for row in rows if keep_P[row.prompt])
  waiting = queued.waiting()
  if not all(keep_P[p] for p, _ in waiting):  # they leave the queue; those that are wanted are queued again
    rows.extendleft(_Row(p, [g]) for p, g in reversed(waiting) if keep_P[p])
    queue = queued.queue._replace(count_D=_put(queued.head.astype(np.int32), work.mesh))
    queued = queued._replace(queue=queue, entries=[entries[:h] for entries, h in zip(queued.entries, queued.head)])
  gone = alive & ~keep_P[host_array(slots.owner_B) // work.request.group].reshape(alive.shape)
  return rows, queued, decode.drop(slots, _put(gone.reshape(-1), work.mesh), mesh=work.mesh), alive & ~gone


def _smaller(size: int, slots: int) -> int:
  """Slots of the next smaller batch, if there is one: half; on CPU, where a large batch's time follows its size,
  more."""
  if size <= -(-slots // SMALLEST):
    return size
  if platform() == 'cpu' and size >= 48:
    part = 16 if size <= 128 else 32
    return (size - 1) // part * part
  return -(-size // 2)


def _fit(widths: tuple[int, ...], tokens: int) -> int:
  return next((w for w in widths if w >= tokens), widths[-1])


def _move(slots, alive, small: int, columns: int, mesh):
  """The live slots of each device in a batch of `small`, a ring with `columns`: (slots, alive)."""
  live = [np.resize(np.flatnonzero(row), small) if row.any() else np.zeros(small, int) for row in alive]
  kept = np.arange(small) < alive.sum(axis=1)[:, None]
  index = np.concatenate(live).astype(np.int32)
  return decode.take(slots, _put(index, mesh), _put(kept.reshape(-1), mesh), columns=columns, mesh=mesh), kept


def _go_on(work: _Work, slots, out: Responses, limit):
  """Puts the responses that were begun into slots, longest first: (slots, alive, rows of those that found no room).

  The latter start again; so do those of a cache that became too small.
  """
  devices = work.mesh.size
  begun = [(p, g) for p, g in np.argwhere(~out.ended_PG & (out.lengths_PG > 0))]
  begun.sort(key=lambda pg: (-out.lengths_PG[*pg], *pg))
  begun, refused = begun[: work.slots * devices], begun[work.slots * devices :]
  for i in range(0, len(begun), devices):
    batch = [_Row(int(p), [int(g)], int(out.lengths_PG[p, g])) for p, g in begun[i : i + devices]]
    longest = max(len(work.request.prompts[row.prompt]) + row.made for row in batch)
    L = work.prompt_columns
    while L < longest:
      L = min(2 * L, work.columns)
    queued = _queue(work, batch, L, 1, 1, out)
    slots = slots._replace(head_D=_put(np.zeros(devices, np.int32), work.mesh))
    slots = decode.fill(slots, queued.queue, limit, mesh=work.mesh)
    refused += queued._replace(head=host_array(slots.head_D)).waiting()
  rows = [_start_again(out, int(p), int(g)) for p, g in refused]
  return slots, host_array(slots.alive_B).reshape(devices, -1), rows


def _start_again(out: Responses, p: int, g: int) -> _Row:
  for x in (out.tokens_PGL, out.logps_PGL, out.lengths_PG):
    x[p, g] = 0
  return _Row(p, [g])


def _queue(
  work: _Work, rows: list[_Row], columns: int, chunk: int, group: int, out: Responses | None = None
) -> _Queued:
  """Prefills up to `chunk` rows for each device and queues their responses, up to `group` of each.

  Args:
    columns: positions of a row. out: where the tokens of responses that go on are.
  """
  devices = work.mesh.size
  tokens, lengths = np.zeros((devices, chunk, columns), np.int32), np.zeros((devices, chunk), np.int32)
  entries = np.zeros((5, devices, chunk * group), np.int32)  # owner, row, last token, length, made
  names = np.zeros((2, devices, chunk * group), np.uint32)  # prompt id, response index
  taken = [[] for _ in range(devices)]
  for i, (p, responses, made) in enumerate(rows):
    row, d = divmod(i, devices)
    ids = work.request.prompts[p] + (out.tokens_PGL[p, responses[0], :made].tolist() if made else [])
    lengths[d, row] = n = len(ids) - 1
    at = slice(n) if work.layout.page else slice(columns - n, columns)
    tokens[d, row, at] = ids[:-1]
    for g in responses:
      entry = len(taken[d])
      entries[:, d, entry] = p * work.request.group + g, row, ids[-1], len(ids), made
      names[:, d, entry] = work.request.prompt_ids[p], g
      taken[d].append((p, g))
  prompts = decode.prefill(
    work.config, work.layout, work.params, tokens.reshape(-1, columns), lengths.reshape(-1), mesh=work.mesh
  )
  count = _put(np.array([len(x) for x in taken], np.int32), work.mesh)
  keys = decode.keys(work.key, *names.reshape(2, -1), mesh=work.mesh)
  queue = decode.Queue(prompts, count, *(_put(x.reshape(-1), work.mesh) for x in entries), keys)
  return _Queued(queue, taken, np.zeros(devices, int))


def _collect(out: Responses, steps: decode.Steps, here_B, callbacks: Callbacks) -> list[_Row]:
  """Moves the tokens of a run of steps to their responses and tells who finished, in the order in which they did.
  Returns those that were put back, to start again."""
  lengths, (_, group, T) = out.lengths_PG.reshape(-1), out.tokens_PGL.shape
  real = steps.place_BT >= 0
  owner, place = steps.owner_BT[real], steps.place_BT[real]
  out.tokens_PGL.reshape(-1, T)[owner, place] = steps.tokens_BT[real]
  out.logps_PGL.reshape(-1, T)[owner, place] = steps.logps_BT[real]
  starts = lengths.copy()
  np.maximum.at(lengths, owner, place + 1)
  for r in np.flatnonzero(lengths > starts):
    p, g = divmod(int(r), group)
    callbacks.on_tokens(p, g, out.tokens_PGL[p, g, starts[r] : lengths[r]])
  again = []
  for t, slot in np.argwhere(steps.end_BT.T != decode.GOES_ON):
    p, g = divmod(int(steps.owner_BT[slot, t]), group)
    if steps.end_BT[slot, t] == decode.PUT_BACK:
      again.append(_start_again(out, p, g))
      continue
    out.ended_PG[p, g], out.stopped_PG[p, g] = True, steps.end_BT[slot, t] == decode.STOPPED
    if here_B[slot]:
      callbacks.on_finished(p, g, out.tokens_PGL[p, g, : out.lengths_PG[p, g]])
  return again


def host_array(tree):
  """Arrays that may lie on devices of several processes, whole, as numpy in all of them."""
  if jax.process_count() == 1:
    return jax.device_get(tree)
  return multihost_utils.process_allgather(tree, tiled=True)


def _put(x: np.ndarray, mesh):
  """One part to each device, by the first axis."""
  return jax.make_array_from_callback(x.shape, NamedSharding(mesh, PartitionSpec(AXES)), lambda index: x[index])
