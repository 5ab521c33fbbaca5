from concurrent.futures import Future
import threading
import time
import types

import jax
import numpy as np

from vibethinker_jax.eval import benchmarks
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify.verdict import Verdict


def test_clock_counts_the_union_of_waits():
  clock, futures = benchmarks._Clock(), [Future() for _ in range(3)]
  futures[2].set_result(1)
  assert clock.watch(futures[2]) is futures[2] and clock.seconds() < 0.01  # was decided at once
  clock.watch(futures[0])
  time.sleep(0.1)
  clock.watch(futures[1])
  futures[0].set_result(1)
  time.sleep(0.1)
  futures[1].set_result(1)
  seconds = clock.seconds()
  assert 0.19 < seconds < 0.4
  time.sleep(0.1)
  assert clock.seconds() == seconds


def test_verdicts_come_while_others_are_decoded(monkeypatch):
  """The engine reports each response when it ends; its verdict is asked for then, not after the last."""
  done = []

  class Pool:
    def submit(self, text, row):
      future = Future()
      threading.Timer(0.1, lambda: (done.append(text), future.set_result(Verdict('correct', 'equal')))).start()
      return future

  def generate(*_, callbacks, **__):
    callbacks.on_finished(0, 1, [7])
    time.sleep(0.3)
    assert done == ['<[7]']
    callbacks.on_finished(0, 0, [8])
    return engine.Responses(np.array([[[8], [7]]]), None, np.ones((1, 2), int), *[np.ones((1, 2), bool)] * 2, 0)

  class Tokenizer:
    stop_ids, vocab_size = (0,), 9
    decode = staticmethod(str)

  monkeypatch.setattr(benchmarks.engine, 'generate', generate)
  monkeypatch.setattr(benchmarks.chat, 'encode_prompt', lambda tokenizer, row: [1])
  monkeypatch.setattr(benchmarks.chat, 'opening', lambda tokenizer, row: '<')
  model = types.SimpleNamespace(config=None, params=None, tokenizer=Tokenizer)
  scored = benchmarks.sample_and_verify(
    model, [{'id': 'a', 'prompt': 'x'}], 2, engine.Options(max_tokens=4), key=jax.random.key(0), mesh=None, pool=Pool()
  )
  assert scored.texts_PG == [['<[8]', '<[7]']] and np.all(scored.correct_PG)
  decoding, waiting, overlapped = scored.seconds
  assert decoding >= 0.3 and waiting > 0.05 and overlapped > 0.09  # lower bounds: a slow machine only adds
