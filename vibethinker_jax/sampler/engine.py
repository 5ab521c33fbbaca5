"""Rollouts: many prompts, G responses each, through a fixed number of slots that are refilled as responses end.

The sampler knows token ids only. Each device runs its own loop of up to `steps_per_call` decode steps and gives a slot whose
response ended to the next one that waits, inside that loop; the host prefills prompts (once per group), hands out queues
of waiting responses and takes tokens out. At the end the last long responses move into smaller batches.
"""

import functools
from typing import Callable, NamedTuple

import jax
from jax.sharding import NamedSharding, PartitionSpec
import jax.numpy as jnp
import numpy as np

from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.sampler import decode
from vibethinker_jax.sampler.sampling import response_keys
from vibethinker_jax.sharding import AXES

SMALLEST = 8  # the last responses run in half the slots, a quarter, and so on down to slots / SMALLEST


class Responses(NamedTuple):
  """What was sampled; positions at or past a response's length are zero.

  Attributes:
    tokens_PGL: int32, the stop token included.
    logps_PGL: float32, log-probability of each token under the distribution it was drawn from.
    lengths_PG: int32, tokens of each response.
    stopped_PG: bool, True: ended by a stop token; False: cut off at max_tokens.
    row_steps: decode row-steps computed, useful or not.
  """
  tokens_PGL: np.ndarray
  logps_PGL: np.ndarray
  lengths_PG: np.ndarray
  stopped_PG: np.ndarray
  row_steps: int


class Options(NamedTuple):
  """How to sample.

  Attributes:
    max_tokens: of a response. temperature: 0 is greedy. top_p: 1 keeps all tokens.
    slots: sequences in flight, over all devices. steps_per_call: decode steps between two contacts with the host.
    columns: cache positions per slot, at least the longest prompt + max_tokens (0: just that, rounded up to 128; a fixed
      number saves recompilation between stages). prompt_columns: positions of a prefilled prompt (0: as needed).
  """
  max_tokens: int
  temperature: float = 1.0
  top_p: float = 1.0
  slots: int = 64
  steps_per_call: int = 16
  columns: int = 0
  prompt_columns: int = 0


def generate(config: ModelConfig, params, prompts: list[list[int]], group: int, options: Options, *, key, mesh,
             stop_ids: tuple[int, ...], vocab_size: int, prompt_ids=None, response_offset: int = 0,
             on_finished: Callable[[int, int, np.ndarray], None] = lambda p, g, tokens: None,
             on_tokens: Callable[[int, int, np.ndarray], None] = lambda p, g, tokens: None) -> Responses:
  """Samples `group` responses to every prompt.

  Args:
    prompts: token ids of each prompt, P of them.
    key: every token is a function of (key, prompt id, response index, position) and the model alone.
    prompt_ids: integers that name the prompts for the random draws; default their indices.
    response_offset: index of the first response, to add more samples to earlier ones.
    vocab_size: the tokenizer's; padded ids beyond it are never drawn.
    on_finished: called as (prompt, response, tokens) as soon as a response is complete, in the order of completion.
    on_tokens: called as (prompt, response, new tokens) after every steps_per_call steps, to stream.

  Raises:
    ValueError: empty prompts, or a prompt that does not fit.
  """
  longest = max((len(p) for p in prompts), default=0)
  if not prompts or min(len(p) for p in prompts) == 0:
    raise ValueError('generate needs at least one prompt, and no empty ones')
  columns = options.columns or -(-(longest + options.max_tokens) // 128) * 128
  prompt_columns = min(columns, options.prompt_columns or -(-longest // 32) * 32)
  if longest > prompt_columns or longest + options.max_tokens > columns:
    raise ValueError(f'a prompt of {longest} tokens with max_tokens={options.max_tokens} needs {columns=} and '
                     f'{prompt_columns=} to be larger: set them to 0 to fit, or shorten the prompts')
  P, T = len(prompts), options.max_tokens
  prompt_ids = np.arange(P) if prompt_ids is None else np.asarray(prompt_ids)
  devices = mesh.size
  B = -(-options.slots // devices)  # of each device
  chunk = max(1, B // group)  # prompts of each device prefilled at once: about one batch of slots

  out = Responses(np.zeros((P, group, T), np.int32), np.zeros((P, group, T), np.float32),
                  np.zeros((P, group), np.int32), np.zeros((P, group), bool), 0)
  weights = decode.rollout_weights(config, params, mesh=mesh)
  slots = decode.empty_slots(config, B * devices, columns, mesh=mesh)
  stops, limit = jnp.asarray(stop_ids, jnp.int32), jnp.int32(T)
  run = functools.partial(decode.decode, config, options.steps_per_call, weights, limit=limit, stop_ids=stops,
                          temperature=options.temperature, top_p=options.top_p, vocab_size=vocab_size, mesh=mesh)
  next_prompt, row_steps, waiting = 0, 0, np.zeros(devices, int)
  alive = np.zeros((devices, B), bool)
  while True:
    if not waiting.any() and next_prompt < P:
      named = range(next_prompt, min(next_prompt + chunk * devices, P))
      next_prompt = named.stop
      queue = _queue(config, params, prompts, named, chunk, group, prompt_columns, prompt_ids, response_offset, key, mesh)
      slots = slots._replace(head_D=jnp.zeros_like(slots.head_D))
    elif not waiting.any() and alive.sum(axis=1).max() <= _smaller(alive.shape[1], B) < alive.shape[1]:
      small = _smaller(alive.shape[1], B)
      live = [np.resize(np.flatnonzero(row), small) if row.any() else np.zeros(small, int) for row in alive]
      kept = np.arange(small) < alive.sum(axis=1)[:, None]
      slots = decode.take(slots, jnp.asarray(np.concatenate(live), jnp.int32), mesh=mesh)
      slots = slots._replace(alive_B=jax.device_put(kept.reshape(-1), slots.alive_B.sharding))
      alive = kept
    size = alive.shape[1]
    smaller = _smaller(size, B)
    floor = size - 1 if next_prompt < P else smaller if smaller < size else 0
    slots, host = run(slots=slots, queue=queue, floor=jnp.int32(floor))
    steps = decode.Steps(*jax.device_get(host))
    alive, waiting = steps.alive_B.reshape(devices, -1), steps.waiting_D
    row_steps += size * int(steps.steps_D.sum())
    _collect(out, steps, group, on_finished, on_tokens)
    if next_prompt == P and not waiting.any() and not alive.any():
      return out._replace(row_steps=row_steps)


def _smaller(size: int, slots: int) -> int:
  """Slots of the next smaller batch; the same if there is none."""
  return size if size <= -(-slots // SMALLEST) else -(-size // 2)


def _queue(config, params, prompts, named, chunk, group, columns, prompt_ids, response_offset, key, mesh) -> decode.Queue:
  """Prefills the prompts in `named` and queues all their responses, dealt out evenly over the devices."""
  devices = mesh.size
  tokens, lengths = np.zeros((devices, chunk, columns), np.int32), np.zeros((devices, chunk), np.int32)
  count = np.zeros(devices, np.int32)
  entries = np.zeros((4, devices, chunk * group), np.int32)  # owner, row, last token, length
  names = np.zeros((2, devices, chunk * group), np.uint32)  # prompt id, response index
  for i, p in enumerate(named):
    row, d = divmod(i, devices)
    lengths[d, row] = len(prompts[p]) - 1
    tokens[d, row, columns - lengths[d, row]:] = prompts[p][:-1]
    for g in range(group):
      entries[:, d, count[d]] = p * group + g, row, prompts[p][-1], len(prompts[p])
      names[:, d, count[d]] = prompt_ids[p], response_offset + g
      count[d] += 1
  kv = decode.prefill(config, params, jnp.asarray(tokens.reshape(-1, columns)), jnp.asarray(lengths.reshape(-1)), mesh=mesh)
  split = NamedSharding(mesh, PartitionSpec(AXES))
  put = lambda x: jax.device_put(x.reshape(-1), split)
  return decode.Queue(kv, put(count), *(put(x) for x in entries), jax.device_put(_keys(key, *names.reshape(2, -1)), split))


def _collect(out: Responses, steps: decode.Steps, group: int, on_finished, on_tokens) -> None:
  """Moves the tokens of a run of steps to their responses and tells who finished, in the order in which they did."""
  lengths, T = out.lengths_PG.reshape(-1), out.tokens_PGL.shape[2]
  real = steps.owner_BT >= 0
  owner, place = steps.owner_BT[real], steps.place_BT[real]
  out.tokens_PGL.reshape(-1, T)[owner, place] = steps.tokens_BT[real]
  out.logps_PGL.reshape(-1, T)[owner, place] = steps.logps_BT[real]
  starts = lengths.copy()
  np.maximum.at(lengths, owner, place + 1)
  for r in np.flatnonzero(lengths > starts):
    p, g = divmod(int(r), group)
    on_tokens(p, g, out.tokens_PGL[p, g, starts[r]:lengths[r]])
  for t, slot in np.argwhere(steps.end_BT.T != decode.GOES_ON):
    p, g = divmod(int(steps.owner_BT[slot, t]), group)
    out.stopped_PG[p, g] = steps.end_BT[slot, t] == decode.STOPPED
    on_finished(p, g, out.tokens_PGL[p, g, :out.lengths_PG[p, g]])


_keys = jax.jit(response_keys)
