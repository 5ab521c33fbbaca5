"""Rollouts: many prompts, G responses each, through a fixed number of slots that are refilled as responses end.

The sampler knows token ids only. Each device runs its own loop of up to `steps_per_call` decode steps and gives a slot whose
response ended to the next one that waits, inside that loop; the host prefills prompts (once per group), hands out queues
of waiting responses and takes tokens out. At the end the last long responses move into smaller batches.

With several processes each calls `generate` with all prompts and gets all responses; all decide alike.
"""

import collections
import functools
from typing import Annotated, Callable, Literal, NamedTuple

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from vibethinker_jax.config import Count, NotNegative, Positive, Range
from vibethinker_jax.model.config import ModelConfig, compute_dtype
from vibethinker_jax.sampler import decode, pages, ring
from vibethinker_jax.sampler.sampling import response_keys
from vibethinker_jax.sharding import AXES, platform

CACHES, CACHE_DTYPES = ('auto', 'ring', 'pages'), ('auto', 'int8')
SMALLEST = 8  # the last responses run in half the slots, a quarter, and so on down to slots / SMALLEST


class Responses(NamedTuple):
  """What was sampled; positions at or past a response's length are zero.

  Attributes:
    tokens_PGL: int32, the stop token included.
    logps_PGL: float32, log-probability of each token under the distribution it was drawn from.
    lengths_PG: int32, tokens of each response.
    stopped_PG: bool, True: ended by a stop token; False: cut off at max_tokens, or not ended.
    ended_PG: bool, False: given up while it was being sampled, see `wanted` of generate.
    row_steps: decode row-steps computed, useful or not.
  """
  tokens_PGL: np.ndarray
  logps_PGL: np.ndarray
  lengths_PG: np.ndarray
  stopped_PG: np.ndarray
  ended_PG: np.ndarray
  row_steps: int


class Options(NamedTuple):
  """How to sample.

  Attributes:
    max_tokens: of a response. temperature: 0 is greedy. top_p: 1 keeps all tokens.
    slots: sequences in flight, over all devices. steps_per_call: decode steps between two contacts with the host.
    columns: cache positions per slot, at least the longest prompt + max_tokens (0: just that, rounded up to 128; a fixed
      number saves recompilation between stages). prompt_columns: positions of a prefilled prompt (0: as needed).
    cache: 'ring' (contiguous, every slot has room for the longest response), 'pages' (memory follows the tokens that
      exist), or 'auto': pages on accelerators and where one of the next three is set, ring on CPU.
    cache_dtype: of pages: 'auto' (as the products), or 'int8' (half the memory and traffic; the sampled distribution then
      differs a little from the trainer's: use it with loss.importance_cap).
    cache_tokens: tokens that the pages of each device hold; 0: enough for all slots at their longest. With fewer, more
      slots fit; a response that finds no room is sampled again later.
    page: tokens of a page; 0: 512 on TPU, else 64.
  """
  max_tokens: Positive
  temperature: NotNegative = 1.0
  top_p: Annotated[float, Range(gt=0, le=1)] = 1.0
  slots: Positive = 64
  steps_per_call: Positive = 16
  columns: Count = 0
  prompt_columns: Count = 0
  cache: Literal[CACHES] = 'auto'
  cache_dtype: Literal[CACHE_DTYPES] = 'auto'
  cache_tokens: Count = 0
  page: Count = 0

  def conflicts(self):
    needed = max(1, self.prompt_columns) + self.max_tokens  # the shortest prompt has a token
    if 0 < self.columns < needed:
      yield (f'columns={self.columns} must be 0, or at least prompt_columns + max_tokens = {needed}: a prompt and its '
             'response stand in one slot')
    if 0 < self.cache_tokens < max(self.columns, needed):
      yield (f'cache_tokens={self.cache_tokens} must be 0, or at least {max(self.columns, needed)}: it cannot hold one '
             'response with its prompt')
    if self.cache == 'ring' and (self.cache_dtype != 'auto' or self.cache_tokens or self.page):
      yield "cache='ring' has no cache_dtype, cache_tokens or page: these are of cache='pages'"


class _Row(NamedTuple):
  """A prompt to prefill, of `responses` that wait for a slot; `made`: tokens of the one response that goes on."""
  prompt: int
  responses: list
  made: int = 0


class _Work(NamedTuple):
  """What a call of generate samples: its arguments, checked, and the sizes that follow from them."""
  config: ModelConfig
  params: dict
  prompts: list
  prompt_ids: np.ndarray
  group: int
  response_offset: int
  key: jax.Array
  mesh: jax.sharding.Mesh
  layout: decode.Layout
  columns: int
  prompt_columns: int
  slots: int  # of each device
  chunk: int  # prompts of each device prefilled at once: about one batch of slots


def generate(config: ModelConfig, params, prompts: list[list[int]], group: int, options: Options, *, key, mesh,
             stop_ids: tuple[int, ...], vocab_size: int, prompt_ids=None, response_offset: int = 0,
             earlier: Responses | None = None, wanted: Callable[[], np.ndarray] | None = None,
             on_finished: Callable[[int, int, np.ndarray], None] = lambda p, g, tokens: None,
             on_tokens: Callable[[int, int, np.ndarray], None] = lambda p, g, tokens: None) -> Responses:
  """Samples `group` responses to every prompt.

  Args:
    prompts: token ids of each prompt, P of them.
    key: every token is a function of (key, prompt id, response index, position) and the model alone.
    prompt_ids: integers that name the prompts for the random draws; default their indices.
    response_offset: index of the first response, to add more samples to earlier ones.
    vocab_size: the tokenizer's; padded ids beyond it are never drawn.
    earlier: responses of an earlier call to the same prompts: those that ended are returned as they are, the others go
      on after their tokens (perhaps of another policy; those keep their log-probabilities).
    wanted: called every steps_per_call steps, gives bool [P]; responses to prompts that are no longer wanted are given
      up as they are. Must give the same in all processes.
    on_finished: called as (prompt, response, tokens) as soon as a response is complete, in the order of completion; with
      several processes in the one whose device sampled it.
    on_tokens: called as (prompt, response, new tokens) after every steps_per_call steps, to stream.

  Raises:
    ValueError: empty prompts, a prompt that does not fit, or options that contradict each other.
  """
  work = _work(config, params, prompts, group, options, key, mesh, prompt_ids, response_offset)
  P, T, devices, B = len(prompts), options.max_tokens, mesh.size, work.slots
  out = _start(P, group, T, earlier)
  weights = decode.rollout_weights(config, params, mesh=mesh)
  widths = ring.widths(config, B, work.columns, compute_dtype()) if not work.layout.page else (work.columns,)
  width = _fit(widths, work.prompt_columns + options.steps_per_call) if earlier is None else work.columns
  slots = decode.empty_slots(config, work.layout, B * devices, width, mesh=mesh)
  limit = jnp.int32(T)
  run = functools.partial(decode.decode, config, options.steps_per_call, weights, limit=limit, vocab_size=vocab_size,
                          stop_ids=jnp.asarray(stop_ids, jnp.int32), temperature=options.temperature,
                          top_p=options.top_p, mesh=mesh)
  here = [d.process_index == jax.process_index() for d in mesh.devices.flat]
  rows = collections.deque(
      _Row(p, fresh) for p in range(P)
      if (fresh := [g for g in range(group) if not out.ended_PG[p, g] and not out.lengths_PG[p, g]]))
  slots, alive, refused = _go_on(work, slots, out, limit)
  rows.extendleft(reversed(refused))
  queue, taken, head, row_steps = None, [[]] * devices, np.zeros(devices, int), 0
  while True:
    if wanted is not None and not (keep := np.asarray(wanted())).all():
      rows = collections.deque(row for row in rows if keep[row.prompt])
      waiting = [entry for entries, h in zip(taken, head) for entry in entries[h:]]
      if not all(keep[p] for p, _ in waiting):
        rows.extendleft(_Row(p, [g]) for p, g in reversed(waiting) if keep[p])
        queue, taken = queue._replace(count_D=_put(head.astype(np.int32), mesh)), [entries[:h] for entries, h in zip(taken, head)]
      gone = alive & ~keep[host_array(slots.owner_B) // group].reshape(alive.shape)
      slots, alive = decode.drop(slots, _put(gone.reshape(-1), mesh), mesh=mesh), alive & ~gone
    waiting = sum(map(len, taken)) - head.sum()
    if not rows and not waiting and not alive.any():
      return out._replace(row_steps=row_steps)
    size = alive.shape[1]
    if queue is None or (rows and not waiting):
      batch = [rows.popleft() for _ in range(min(len(rows), work.chunk * devices))]
      queue, taken = _queue(work, batch, work.prompt_columns, work.chunk, group)
      slots, head = slots._replace(head_D=_put(np.zeros(devices, np.int32), mesh)), np.zeros(devices, int)
    elif not waiting:
      while alive.sum(axis=1).max() <= _smaller(size, B) < size:
        size = _smaller(size, B)
    wider = max(width, _fit(widths, _longest(work, slots, alive) + options.steps_per_call)) if width < work.columns else width
    if (size, wider) != (alive.shape[1], width):
      (slots, alive), width = _move(slots, alive, size, wider, mesh), wider
    smaller = _smaller(size, B)
    floor = size - 1 if rows else smaller if smaller < size else 0
    slots, steps = run(slots=slots, queue=queue, floor=jnp.int32(floor))
    steps = decode.Steps(*host_array(steps))
    alive, head = steps.alive_B.reshape(devices, -1), steps.head_D
    row_steps += size * int(steps.steps_D.sum())
    rows.extendleft(_collect(out, steps, group, np.repeat(here, size), on_finished, on_tokens))


def _work(config, params, prompts, group, options, key, mesh, prompt_ids, response_offset) -> _Work:
  longest = max((len(p) for p in prompts), default=0)
  if not prompts or min(len(p) for p in prompts) == 0:
    raise ValueError('generate needs at least one prompt, and no empty ones')
  columns = options.columns or -(-(longest + options.max_tokens) // 128) * 128
  prompt_columns = min(columns, options.prompt_columns or -(-longest // 32) * 32)
  if longest > prompt_columns or longest + options.max_tokens > columns:
    raise ValueError(f'a prompt of {longest} tokens with max_tokens={options.max_tokens} needs {columns=} and '
                     f'{prompt_columns=} to be larger: set them to 0 to fit, or shorten the prompts')
  slots = -(-options.slots // mesh.size)
  prompt_ids = np.arange(len(prompts)) if prompt_ids is None else np.asarray(prompt_ids)
  return _Work(config, params, prompts, prompt_ids, group, response_offset, key, mesh, layout(options, columns), columns,
               prompt_columns, slots, max(1, slots // group))


def layout(options: Options, columns: int) -> decode.Layout:
  """How the cache lies in memory.

  Raises:
    ValueError: options that contradict each other, or a cache that is too small for one response.
  """
  if options.cache not in CACHES or options.cache_dtype not in CACHE_DTYPES:
    raise ValueError(f"sampler: cache={options.cache!r} must be 'auto', 'ring' or 'pages', "
                     f"cache_dtype={options.cache_dtype!r} 'auto' or 'int8'")
  of_pages = options.cache_dtype != 'auto' or options.cache_tokens or options.page
  if options.cache == 'ring' and of_pages:
    raise ValueError("sampler: cache_dtype, cache_tokens and page are of cache='pages', not of a ring")
  paged = options.cache == 'pages' or (options.cache == 'auto' and (of_pages or platform() != 'cpu'))
  if not paged:
    return decode.Layout()
  if 0 < options.cache_tokens < columns:
    raise ValueError(f'sampler.cache_tokens={options.cache_tokens} cannot hold one response of {columns} tokens with its '
                     'prompt: raise it, or lower max_tokens')
  return decode.Layout(pages.page_tokens(options.page), options.cache_dtype == 'int8', options.cache_tokens)


def _start(P: int, group: int, T: int, earlier: Responses | None) -> Responses:
  """Arrays to fill, with what an earlier call sampled."""
  out = Responses(np.zeros((P, group, T), np.int32), np.zeros((P, group, T), np.float32), np.zeros((P, group), np.int32),
                  np.zeros((P, group), bool), np.zeros((P, group), bool), 0)
  if earlier is not None:
    if earlier.lengths_PG.shape != (P, group) or earlier.lengths_PG.max(initial=0) > T:
      raise ValueError(f'earlier responses of shape {earlier.lengths_PG.shape} with up to '
                       f'{earlier.lengths_PG.max(initial=0)} tokens do not fit {P} prompts x {group} of max_tokens={T}')
    n = min(T, earlier.tokens_PGL.shape[2])
    for new, old in zip(out[:2], earlier[:2]):
      new[..., :n] = old[..., :n]
    for new, old in zip(out[2:5], earlier[2:5]):
      new[:] = old
    cut = out.lengths_PG == T
    out.ended_PG[cut] = True
  return out


def _smaller(size: int, slots: int) -> int:
  """Slots of the next smaller batch; the same if there is none. Halves, and on CPU, where a large batch's time follows
  its size, finer."""
  if size <= -(-slots // SMALLEST):
    return size
  if platform() == 'cpu' and size >= 48:
    part = 16 if size <= 128 else 32
    return (size - 1) // part * part
  return -(-size // 2)


def _longest(work: _Work, slots, alive) -> int:
  """Columns in use, or soon of a prompt."""
  return int(np.max(host_array(slots.lengths_B), where=alive.reshape(-1), initial=work.prompt_columns))


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
  begun, refused = begun[:work.slots * devices], begun[work.slots * devices:]
  for i in range(0, len(begun), devices):
    batch = [_Row(int(p), [int(g)], int(out.lengths_PG[p, g])) for p, g in begun[i:i + devices]]
    longest = max(len(work.prompts[row.prompt]) + row.made for row in batch)
    L = work.prompt_columns
    while L < longest:
      L = min(2 * L, work.columns)
    queue, taken = _queue(work, batch, L, 1, 1, out)
    slots = slots._replace(head_D=_put(np.zeros(devices, np.int32), work.mesh))
    slots = decode.fill(slots, queue, limit, mesh=work.mesh)
    refused += [pg for entries, h in zip(taken, host_array(slots.head_D)) for pg in entries[h:]]
  rows = []
  for p, g in refused:
    _start_again(out, p, g)
    rows.append(_Row(int(p), [int(g)]))
  return slots, host_array(slots.alive_B).reshape(devices, -1), rows


def _start_again(out: Responses, p: int, g: int) -> None:
  for x in (out.tokens_PGL, out.logps_PGL, out.lengths_PG):
    x[p, g] = 0


def _queue(work: _Work, rows: list[_Row], columns: int, chunk: int, group: int, out: Responses | None = None):
  """Prefills up to `chunk` rows for each device and queues their responses: (queue, (prompt, response)s of each device).

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
    ids = work.prompts[p] + (out.tokens_PGL[p, responses[0], :made].tolist() if made else [])
    lengths[d, row] = n = len(ids) - 1
    at = slice(n) if work.layout.page else slice(columns - n, columns)
    tokens[d, row, at] = ids[:-1]
    for g in responses:
      entry = len(taken[d])
      entries[:, d, entry] = p * work.group + g, row, ids[-1], len(ids), made
      names[:, d, entry] = work.prompt_ids[p], work.response_offset + g
      taken[d].append((p, g))
  prompts = decode.prefill(work.config, work.layout, work.params, tokens.reshape(-1, columns), lengths.reshape(-1),
                           mesh=work.mesh)
  count = _put(np.array([len(x) for x in taken], np.int32), work.mesh)
  keys = _keys(work.key, *names.reshape(2, -1), mesh=work.mesh)
  return decode.Queue(prompts, count, *(_put(x.reshape(-1), work.mesh) for x in entries), keys), taken


def _collect(out: Responses, steps: decode.Steps, group: int, here_B, on_finished, on_tokens) -> list[_Row]:
  """Moves the tokens of a run of steps to their responses and tells who finished, in the order in which they did.

  Returns:
    those that were put back, to start again.
  """
  lengths, T = out.lengths_PG.reshape(-1), out.tokens_PGL.shape[2]
  real = steps.place_BT >= 0
  owner, place = steps.owner_BT[real], steps.place_BT[real]
  out.tokens_PGL.reshape(-1, T)[owner, place] = steps.tokens_BT[real]
  out.logps_PGL.reshape(-1, T)[owner, place] = steps.logps_BT[real]
  starts = lengths.copy()
  np.maximum.at(lengths, owner, place + 1)
  for r in np.flatnonzero(lengths > starts):
    p, g = divmod(int(r), group)
    on_tokens(p, g, out.tokens_PGL[p, g, starts[r]:lengths[r]])
  again = []
  for t, slot in np.argwhere(steps.end_BT.T != decode.GOES_ON):
    p, g = divmod(int(steps.owner_BT[slot, t]), group)
    if steps.end_BT[slot, t] == decode.PUT_BACK:
      _start_again(out, p, g)
      again.append(_Row(p, [g]))
      continue
    out.ended_PG[p, g], out.stopped_PG[p, g] = True, steps.end_BT[slot, t] == decode.STOPPED
    if here_B[slot]:
      on_finished(p, g, out.tokens_PGL[p, g, :out.lengths_PG[p, g]])
  return again


def host_array(tree):
  """Arrays that may lie on devices of several processes, whole, as numpy in all of them."""
  if jax.process_count() == 1:
    return jax.device_get(tree)
  return multihost_utils.process_allgather(tree, tiled=True)


def _put(x: np.ndarray, mesh):
  """One part to each device, by the first axis."""
  return jax.make_array_from_callback(x.shape, NamedSharding(mesh, PartitionSpec(AXES)), lambda index: x[index])


@functools.partial(jax.jit, static_argnames='mesh')
def _keys(key, prompt_ids, response_ids, *, mesh):
  split = NamedSharding(mesh, PartitionSpec(AXES))
  return jax.lax.with_sharding_constraint(response_keys(key, prompt_ids, response_ids), split)
