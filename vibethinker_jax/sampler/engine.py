"""Rollouts: many prompts, G responses each, through a fixed number of slots that are refilled as responses end.

The sampler knows token ids only. Slots decode in lock step for `steps_per_call` steps; between calls the host takes
finished responses out and puts waiting ones in (a group's prompt is prefilled once), and at the end moves the last
long responses into a smaller batch.
"""

import collections
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.sampler import decode
from vibethinker_jax.sampler.sampling import response_keys

SHRINK = 4  # the tail runs in a batch of slots / SHRINK


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
  """How to sample. columns: cache positions per slot, at least the longest prompt + max_tokens (0: just that, rounded
  up to 128; a fixed number saves recompilation between stages)."""
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
  B = -(-options.slots // devices) * devices
  small = -(-B // SHRINK // devices) * devices

  out = Responses(np.zeros((P, group, T), np.int32), np.zeros((P, group, T), np.float32),
                  np.zeros((P, group), np.int32), np.zeros((P, group), bool), 0)
  weights = decode.rollout_weights(config, params, mesh=mesh)
  slots = decode.empty_slots(config, B, columns, mesh=mesh)
  stops = jnp.asarray(stop_ids, jnp.int32)
  owner = np.full(B, -1)  # which response (prompt * group + index) a slot holds
  waiting = collections.deque()  # responses whose prompt is in `prefilled`
  prefilled, chunk_start, next_prompt, row_steps = None, 0, 0, 0
  chunk = max(1, B // group)  # prompts prefilled at once: about one batch of slots

  while True:
    while (owner < 0).any() and (waiting or next_prompt < P) and len(owner) == B:
      if not waiting:
        chunk_start = next_prompt
        prefilled = _prefill(config, params, prompts[next_prompt:next_prompt + chunk], chunk, prompt_columns)
        waiting.extend(range(next_prompt * group, min(next_prompt + chunk, P) * group))
        next_prompt = min(next_prompt + chunk, P)
      slots = _fill(slots, owner, waiting, prefilled, chunk_start, prompts, prompt_ids, group, response_offset, T, key,
                    mesh)
    live = np.flatnonzero(owner >= 0)
    if live.size == 0:
      return out._replace(row_steps=row_steps)
    if len(owner) > small >= live.size and not waiting:
      index = np.resize(live, small)
      slots = decode.take(slots, jnp.asarray(index), mesh=mesh)
      owner = np.where(np.arange(small) < live.size, owner[index], -1)
    slots, *host = decode.decode(config, options.steps_per_call, weights, slots, stops,
                                 temperature=options.temperature, top_p=options.top_p, vocab_size=vocab_size, mesh=mesh)
    tokens, logps, count, alive, stopped = jax.device_get(host)
    row_steps += len(owner) * options.steps_per_call
    for slot in np.flatnonzero(owner >= 0):
      p, g = divmod(int(owner[slot]), group)
      n, start = int(count[slot]), out.lengths_PG[p, g]
      out.tokens_PGL[p, g, start:start + n] = tokens[slot, :n]
      out.logps_PGL[p, g, start:start + n] = logps[slot, :n]
      out.lengths_PG[p, g] += n
      on_tokens(p, g, tokens[slot, :n])
      if not alive[slot]:
        out.stopped_PG[p, g] = stopped[slot]
        owner[slot] = -1
        on_finished(p, g, out.tokens_PGL[p, g, :start + n])


def _prefill(config, params, prompts, chunk, columns):
  tokens, lengths = np.zeros((chunk, columns), np.int32), np.zeros(chunk, np.int32)
  for i, prompt in enumerate(prompts):
    lengths[i] = len(prompt) - 1
    tokens[i, columns - lengths[i]:] = prompt[:-1]
  return decode.prefill(config, params, jnp.asarray(tokens), jnp.asarray(lengths))


def _fill(slots, owner, waiting, prefilled, chunk_start, prompts, prompt_ids, group, response_offset, limit, key, mesh):
  B = len(owner)
  source, tokens, lengths = np.full(B, -1, np.int32), np.zeros(B, np.int32), np.ones(B, np.int32)
  names, indices = np.zeros(B, np.uint32), np.zeros(B, np.uint32)
  for slot in np.flatnonzero(owner < 0):
    if not waiting:
      break
    owner[slot] = waiting.popleft()
    p, g = divmod(int(owner[slot]), group)
    source[slot], tokens[slot], lengths[slot] = p - chunk_start, prompts[p][-1], len(prompts[p])
    names[slot], indices[slot] = prompt_ids[p], response_offset + g
  keys = _keys(key, jnp.asarray(names), jnp.asarray(indices))
  return decode.fill(slots, prefilled, jnp.asarray(source), jnp.asarray(tokens), jnp.asarray(lengths),
                     jnp.full(B, limit, jnp.int32), keys, mesh=mesh)


_keys = jax.jit(response_keys)
