"""What is asked of the sampler, and what comes back."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np

from vibethinker_jax.config import Count, NotNegative, Positive, Range

CACHES, CACHE_DTYPES = ('auto', 'ring', 'pages'), ('auto', 'int8')


class Responses(NamedTuple):
  """What was sampled; positions at or past a response's length are zero.

  Attributes:
    tokens_PGL: int32, the stop token included.
    logps_PGL: float32, log-probability of each token under the distribution it was drawn from.
    lengths_PG: int32, tokens of each response.
    stopped_PG: bool, True: ended by a stop token; False: cut off at max_tokens, or not ended.
    ended_PG: bool, False: given up while it was being sampled, see Callbacks.wanted.
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
    top_k: only the k most likely tokens (and their equals), 0 is off. min_p: only tokens at least min_p times as likely
      as the likeliest, 0 is off. Order: temperature, top_k, top_p of what is left, min_p, as in transformers.
    slots: sequences in flight, over all devices. steps_per_call: decode steps between two contacts with the host.
    columns: cache positions per slot, at least the longest prompt + max_tokens (0: just that, rounded up to 128; a
      fixed number saves recompilation between stages). prompt_columns: positions of a prefilled prompt (0: as needed).
    cache: 'ring' (contiguous, every slot has room for the longest response), 'pages' (memory follows the tokens that
      exist), or 'auto': pages on accelerators and where one of the next three is set, ring on CPU.
    cache_dtype: of pages: 'auto' (as the products), or 'int8' (half the memory and traffic; the sampled distribution
      then differs a little from the trainer's: use it with loss.importance_cap).
    cache_tokens: tokens that the pages of each device hold; 0: enough for all slots at their longest. With fewer, more
      slots fit; a response that finds no room is sampled again later.
    page: tokens of a page; 0: 512 on TPU, else 64.
  """

  max_tokens: Positive
  temperature: NotNegative = 1.0
  top_p: Annotated[float, Range(gt=0, le=1)] = 1.0
  top_k: Annotated[int, Range(ge=0, lt=2**31)] = 0
  min_p: Annotated[float, Range(ge=0, le=1)] = 0.0
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
      yield (
        f'columns={self.columns} must be 0, or at least prompt_columns + max_tokens = {needed}: a prompt and its '
        'response stand in one slot'
      )
    if 0 < self.cache_tokens < max(self.columns, needed):
      yield (
        f'cache_tokens={self.cache_tokens} must be 0, or at least {max(self.columns, needed)}: it cannot hold one '
        'response with its prompt'
      )
    if self.cache == 'ring' and (self.cache_dtype != 'auto' or self.cache_tokens or self.page):
      yield "cache='ring' has no cache_dtype, cache_tokens or page: these are of cache='pages'"


class Vocabulary(NamedTuple):
  """Of the tokenizer: `size`, padded ids beyond it are never drawn; `stop_ids` end a response and belong to it."""

  size: int
  stop_ids: tuple[int, ...]


class Request(NamedTuple):
  """What to sample.

  Attributes:
    prompts: token ids of each of the P prompts. group: responses to each.
    prompt_ids: integers that name the prompts for the random draws; default their indices.
    earlier: responses of an earlier call to the same prompts: those that ended are returned as they are, the others go
      on after their tokens (perhaps of another policy; those keep their log-probabilities).
  """

  prompts: list[list[int]]
  group: int
  prompt_ids: Sequence[int] | None = None
  earlier: Responses | None = None


class Callbacks(NamedTuple):
  """What the host is told, and asked, while it samples.

  Attributes:
    on_finished: called as (prompt, response, tokens) as soon as a response is complete, in the order of completion;
      with several processes in the one whose device sampled it.
    on_tokens: called as (prompt, response, new tokens) after every steps_per_call steps, to stream.
    wanted: called every steps_per_call steps, gives bool [P]; responses to prompts that are no longer wanted are given
      up as they are. Must give the same in all processes.
  """

  on_finished: Callable[[int, int, np.ndarray], None] = lambda p, g, tokens: None
  on_tokens: Callable[[int, int, np.ndarray], None] = lambda p, g, tokens: None
  wanted: Callable[[], np.ndarray] | None = None
