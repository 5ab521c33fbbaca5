"""Sampling responses to problems and having them verified while the others are still being decoded."""

from collections.abc import Callable
import itertools
import threading
import time
from typing import NamedTuple
import zlib

import numpy as np

from vibethinker_jax.data.tokens import chat
from vibethinker_jax.eval.rewards import measured
from vibethinker_jax.runtime import hosts, timeline
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.verdict import Verdict


class Scored(NamedTuple):
  """Responses with their verdicts.

  Attributes:
    responses: sampler.engine.Responses.
    correct_PG: bool. valid_PG: bool, False where there is no verdict (the verifier failed, or the response was given
      up: leave the sample out).
    reasons_PG: the verdict's reason.
    texts_PG: list of lists of str, each with what its prompt has begun (chat.opening). prompts: token ids of each
      prompt.
    seconds: (decoding, waiting for the last verdicts, verifying while others were being decoded).
    rewards_PG: float, 0 where there is no verdict. parts_PG: of each verdict, {} where it has none.
  """

  responses: engine.Responses
  correct_PG: np.ndarray
  valid_PG: np.ndarray
  reasons_PG: list
  texts_PG: list
  prompts: list
  seconds: tuple
  rewards_PG: np.ndarray | None = None
  parts_PG: list | None = None


def invalid_of(*scored: Scored) -> tuple[list[str], int]:
  """(reasons of the invalid verdicts, how many verdicts there are) of responses that ended."""
  found = [
    s.reasons_PG[p][g] for s in scored for p, g in np.argwhere(s.responses.ended_PG & ~np.asarray(s.valid_PG, bool))
  ]
  return found, sum(int(s.responses.ended_PG.sum()) for s in scored)


class Partial(NamedTuple):
  """Of rollouts that need not start from nothing, or need not end.

  Attributes:
    earlier: responses that were begun, see engine.Request; those that ended are verified too.
    enough: (rewards_PG, correct_PG, valid_PG, ended_P) -> whether the responses that are still being sampled may be
      given up. Asked at every contact with the device, of the verdicts of what had finished at the contact before:
      which responses these are depends on tokens alone, not on how fast the verifier is.
  """

  earlier: engine.Responses | None = None
  enough: Callable | None = None


class _Clock:
  """Wall time during which at least one watched verdict was awaited."""

  def __init__(self):
    self._lock, self._open, self._since, self._total = threading.Lock(), 0, 0.0, 0.0

  def watch(self, future):
    if not future.done():  # decided at once: no time at all
      self._count(1)
      future.add_done_callback(lambda _: (self._count(-1), hosts.beat()))
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


def sample_and_verify(
  model, rows: list[dict], samples: int, options: engine.Options, *, key, mesh, pool: Pool, partial: Partial = Partial()
) -> Scored:
  """Samples `samples` responses to every row and verifies them in the pool as they finish.

  With several processes each verifies the responses of its own devices; all get all verdicts.

  Args:
    model: config, params, tokenizer. rows: with id, prompt (and prefix), and what judges.
  """
  tokenizer, earlier = model.tokenizer, partial.earlier
  prompts = [chat.encode_prompt(tokenizer, row) for row in rows]
  openings = [chat.opening(tokenizer, row) for row in rows]
  texts = [[''] * samples for _ in rows]
  verdicts = _Verdicts(len(rows), samples)
  clock = _Clock()

  def on_finished(p, g, tokens):
    texts[p][g] = openings[p] + tokenizer.decode(tokens)
    verdicts.futures[p, g] = clock.watch(
      pool.submit(texts[p][g], measured(pool, rows[p], len(tokens), options.max_tokens))
    )

  if earlier is not None:
    for p, g in np.argwhere(earlier.ended_PG):
      if (p * samples + g) % hosts.count() == hosts.index():
        on_finished(int(p), int(g), earlier.tokens_PGL[p, g, : earlier.lengths_PG[p, g]])

  def wanted():
    verdicts.know()
    ended_P = (verdicts.status_PG != '').all(axis=1)
    return ended_P | (not partial.enough(*verdicts.judged(), ended_P))

  start = time.perf_counter()
  request = engine.Request(prompts, samples, [prompt_id(row) for row in rows], earlier)
  callbacks = engine.Callbacks(on_finished, lambda *_: hosts.beat(), wanted if partial.enough else None)
  with timeline.phase('rollout'):
    responses = engine.generate(
      model.config,
      model.params,
      request,
      options,
      key=key,
      mesh=mesh,
      callbacks=callbacks,
      vocabulary=engine.Vocabulary(tokenizer.vocab_size, tokenizer.stop_ids),
    )
  decoded, overlapped = time.perf_counter(), clock.seconds()
  verdicts.gather(list(verdicts.futures))
  for p, g in np.argwhere(responses.lengths_PG > 0):
    texts[p][g] = texts[p][g] or openings[p] + tokenizer.decode(
      responses.tokens_PGL[p, g, : responses.lengths_PG[p, g]]
    )
  rewards_PG, correct_PG, valid_PG = verdicts.judged()
  return Scored(
    responses,
    correct_PG,
    valid_PG,
    verdicts.reasons_PG,
    texts,
    prompts,
    (decoded - start, time.perf_counter() - decoded, overlapped),
    rewards_PG,
    verdicts.parts_PG,
  )


class _Verdicts:
  """futures: of this process, by (prompt, response). status_PG, reasons_PG, rewards_PG, parts_PG: those that all
  processes know; '' where none is known yet."""

  def __init__(self, P: int, samples: int):
    self.futures, self._before = {}, []
    self.status_PG = np.full((P, samples), '', object)
    self.reasons_PG = [[''] * samples for _ in range(P)]
    self.rewards_PG = np.zeros((P, samples))
    self.parts_PG = [[{} for _ in range(samples)] for _ in range(P)]

  def know(self) -> None:
    """Of all that had finished at the call before."""
    self.gather(self._before)
    self._before = list(self.futures)

  def judged(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rewards_PG, correct_PG, valid_PG)."""
    status = self.status_PG
    return self.rewards_PG, status == 'correct', (status != 'invalid') & (status != '')

  def gather(self, which: list) -> None:
    """Waits for the verdicts of `which` and tells them to all processes."""
    new = []
    with timeline.phase('verify'):
      for p, g in which:
        if not self.status_PG[p, g]:
          verdict = self.futures[p, g].result()
          new.append((p, g, *verdict))
    for p, g, *told in itertools.chain(*hosts.gather(new, 'verdicts')):
      verdict = Verdict(*told)
      self.status_PG[p, g], self.reasons_PG[p][g] = verdict.status, verdict.reason
      self.rewards_PG[p, g] = verdict.value() if verdict.status != 'invalid' else 0.0
      self.parts_PG[p][g] = verdict.parts or {}
