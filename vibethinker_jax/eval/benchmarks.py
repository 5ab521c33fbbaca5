"""Sampling responses to problems and having them verified while the others are still being decoded."""

import threading
import time
import zlib
from typing import NamedTuple

import numpy as np

from vibethinker_jax.data import chat
from vibethinker_jax.data.tokenizer import Tokenizer
from vibethinker_jax.model.config import ModelConfig
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify.pool import Pool


class Scored(NamedTuple):
  """Responses with their verdicts.

  Attributes:
    responses: sampler.engine.Responses.
    correct_PG: bool. valid_PG: bool, False where the verifier failed (no verdict: leave the sample out).
    reasons_PG: the verdict's reason.
    texts_PG: list of lists of str. prompts: token ids of each prompt.
    seconds: (decoding, waiting for the last verdicts, verifying while others were being decoded).
  """
  responses: engine.Responses
  correct_PG: np.ndarray
  valid_PG: np.ndarray
  reasons_PG: list
  texts_PG: list
  prompts: list
  seconds: tuple


class _Clock:
  """Wall time during which at least one watched verdict was awaited."""

  def __init__(self):
    self._lock, self._open, self._since, self._total = threading.Lock(), 0, 0.0, 0.0

  def watch(self, future):
    if not future.done():  # decided at once: no time at all
      self._count(1)
      future.add_done_callback(lambda _: self._count(-1))
    return future

  def _count(self, change: int) -> None:
    with self._lock:
      now = time.perf_counter()
      self._total += now - self._since if self._open else 0.0
      self._open, self._since = self._open + change, now

  def seconds(self) -> float:
    self._count(0)
    return self._total


def prompt_id(row: dict) -> int:
  """A stable number for the random draws of a problem: of its identity, not of its place in a list."""
  return zlib.crc32(row['id'].encode())


def sample_and_verify(config: ModelConfig, params, tokenizer: Tokenizer, rows: list[dict], samples: int,
                      options: engine.Options, *, key, mesh, pool: Pool, response_offset: int = 0) -> Scored:
  """Samples `samples` responses to every row and verifies them in the pool as they finish."""
  prompts = [chat.encode_prompt(tokenizer, row['prompt']) for row in rows]
  texts = [[''] * samples for _ in rows]
  verdicts = [[None] * samples for _ in rows]

  clock = _Clock()

  def on_finished(p, g, tokens):
    text = tokenizer.decode(tokens)
    texts[p][g], verdicts[p][g] = text, clock.watch(pool.submit(text, rows[p]))

  start = time.perf_counter()
  responses = engine.generate(
      config, params, prompts, samples, options, key=key, mesh=mesh, stop_ids=tokenizer.stop_ids,
      vocab_size=tokenizer.vocab_size, prompt_ids=[prompt_id(row) for row in rows], response_offset=response_offset,
      on_finished=on_finished)
  decoded, overlapped = time.perf_counter(), clock.seconds()
  verdicts = [[future.result() for future in group] for group in verdicts]
  status = np.array([[v.status for v in group] for group in verdicts])
  return Scored(responses, status == 'correct', status != 'invalid', [[v.reason for v in group] for group in verdicts],
                texts, prompts, (decoded - start, time.perf_counter() - decoded, overlapped))
