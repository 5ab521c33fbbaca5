"""A pool of verifier processes that can be killed.

  with Pool(workers=2) as pool:
    verdicts = pool.verify([(response, {'answer': '42'}), (program, {'tests': {...}})])

Each worker has one thread here that starts it, feeds it, and replaces it. Workers are fresh processes (never
forks of a JAX process) with a clean environment; what passes between is length-prefixed JSON. A maths answer that is
not judged in answers.QUICK seconds is given to the slow lane, workers of lowest priority, so that a few bombs do not
hold up everything else.
"""

from __future__ import annotations

import collections
from concurrent.futures import Future
import dataclasses
import itertools
import json
import os
import select
import subprocess
import sys
import threading
import time

from vibethinker_jax.verify import default, frames, process as process_lib
from vibethinker_jax.verify.code.sandbox import packages as packages_lib
from vibethinker_jax.verify.code.sandbox.client import SandboxUnavailable
from vibethinker_jax.verify.maths.answers import QUICK, SLOW
from vibethinker_jax.verify.verdict import FAULT, Verdict

MEMORY = 2.0  # GiB of address space of a worker; sympy needs 0.3
PIPELINE = 4  # tasks a worker holds: hides the round trip of 0.1 ms; few, since they wait behind a slow one
QUEUE = 4096  # tasks that may wait: submit blocks beyond, so that memory stays bounded
NICE = 10  # of the slow lane: a tenth of a processor against one that wants all of it
STARTUP = 60.0  # seconds a worker may take to be ready: sympy from a cold network disk
STARTS = 3  # consecutive workers that died before they were ready: then the pool gives up with an error


@dataclasses.dataclass
class Stats:
  """Counters since the pool started. fast: decided without a worker; shared: joined an identical task in flight; slow:
  sent to the slow lane; busy: seconds that workers spent on tasks."""

  tasks: int = 0
  fast: int = 0
  shared: int = 0
  slow: int = 0
  timeouts: int = 0
  faults: int = 0
  restarts: int = 0
  busy: float = 0.0


@dataclasses.dataclass(eq=False)
class _Task:
  content: list
  future: Future
  is_code: bool
  key: tuple
  quick: bool
  deaths: int = 0
  frame: bytes = b''

  def __post_init__(self):
    self.frame = frames.pack([*self.content, QUICK if self.quick else SLOW])


class Pool:
  """Judges (response, row) pairs in killable worker processes.

  Args:
    workers: number of processes, those of the slow lane aside.
    verifier: importable 'module:function' with the signature (response: str, row: dict) -> what returned.py reads.
    timeout: wall seconds for one task; then its worker is killed and replaced and the verdict is ('wrong',
      'time_limit') for a row with tests, else ('wrong', 'timeout').
    packages: names of the packages that programs may import; None: see sandbox/packages.py.
    memory: GiB of address space of a worker; 0: no limit, which what maps more than it uses (CUDA) needs.
    correct_at: the reward from which a response counts as correct, where the verifier returns numbers.

  A worker that dies by itself: its task is tried once more, then ('invalid', 'fault'); so is what a verifier
  raises, and a value that is no reward (the first goes to stderr, and stays as first_fault). Start the pool before
  JAX: then nothing of JAX is in any parent of a worker.
  """

  def __init__(
    self,
    workers: int = 2,
    verifier: str = default.NAME,
    timeout: float = 10.0,
    packages: tuple | None = None,
    memory: float = MEMORY,
    correct_at: float = 1.0,
  ):
    if workers < 1 or ':' not in verifier:
      raise ValueError(f'Pool needs workers >= 1 and a verifier "module:function": {workers}, {verifier!r}')
    self.stats = Stats()
    self.first_fault = ''
    self._verifier, self._timeout = verifier, timeout
    self._arguments = [verifier, str(int(memory * 2**30)), repr(float(correct_at))]
    self._packages = packages_lib.installed(packages_lib.chosen() if packages is None else packages)
    self._queue, self._slow = collections.deque(), collections.deque()
    self._inflight = {}
    self._changed = threading.Condition()
    self._closed = False
    self._broken = None
    self._number = 0
    lanes = [self._queue] * workers + [self._slow] * (-(-workers // 2) if verifier == default.NAME else 0)
    self._threads = [
      threading.Thread(target=self._serve, args=(i, lane), name=f'verifier-{i}', daemon=True)
      for i, lane in enumerate(lanes)
    ]
    for thread in self._threads:
      thread.start()

  def submit(self, response: str, row: dict) -> Future:
    """Queues one pair.

    Args:
      response: the model's whole text.
      row: JSON-compatible; with `tests` or `answer` for the default verifier.
    Returns:
      A Future of the Verdict, shared by identical pairs in flight; it cannot be cancelled. Its result()
      raises SandboxUnavailable if code cannot be run safely here.
    Raises:
      TypeError, ValueError: the row is not JSON-compatible, or lacks what the default verifier needs.
      RuntimeError: the pool is closed, or its workers cannot be started.
    """
    is_code, quick = row.get('tests') is not None, False
    if self._verifier == default.NAME:
      default.check(row)
      response, row = default.needed(response, row)
      verdict = default.at_once(response, row)
      if verdict is not None:
        with self._changed:
          self.stats.tasks += 1
          self.stats.fast += 1
        return _done(verdict)
      quick = 'answer' in row and 'constraints' not in row
    key = (response, json.dumps(row, sort_keys=True))
    with self._changed:
      while len(self._queue) >= QUEUE and not (self._closed or self._broken):
        self._changed.wait()
      if self._closed or self._broken:
        raise RuntimeError(self._broken or 'the verifier pool is closed')
      self.stats.tasks += 1
      if key in self._inflight:
        self.stats.shared += 1
        return self._inflight[key].future
      self._number += 1
      task = _Task([self._number, response, row], Future(), is_code, key, quick)
      task.future.set_running_or_notify_cancel()
      self._inflight[key] = task
      self._queue.append(task)
      self._changed.notify_all()
    return task.future

  def verify(self, pairs: list[tuple[str, dict]]) -> list[Verdict]:
    """Verdicts of (response, row) pairs, in order. Raises as submit and its futures do."""
    futures = [self.submit(response, row) for response, row in pairs]
    return [future.result() for future in futures]

  def close(self) -> None:
    """Kills the workers; what was not judged yet ends as ('invalid', 'fault')."""
    with self._changed:
      self._closed = True
      self._changed.notify_all()
    for thread in self._threads:
      thread.join()
    for task in self._slow:  # moved there while its workers were ending
      self._resolve(task, FAULT)

  def __enter__(self) -> Pool:
    return self

  def __exit__(self, *_) -> None:
    self.close()

  # The rest runs in the workers' threads.

  def _serve(self, number: int, lane: collections.deque) -> None:
    held = collections.deque()
    try:
      self._loop(number, lane, held)
    except Exception as e:  # no process could be started, or a bug here: nobody may wait for ever
      self._break(f'a verifier thread failed: {e!r}', held)
      raise

  def _loop(self, number: int, lane: collections.deque, held: collections.deque) -> None:
    slow = lane is self._slow
    limit = self._timeout * (3 if slow else 1)  # its priority is low
    process, alive, sent, head, started = (
      None if slow else process_lib.start(self._arguments, number, self._packages),
      False,
      0,
      0.0,
      0,
    )
    while self._take(lane, held):
      if process is None:
        process, alive, sent = process_lib.start(self._arguments, number, self._packages), False, 0
        if slow:
          os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
      try:
        if not alive:
          ready = self._receive(process, time.monotonic() + STARTUP)
          if ready is None:
            break
          if ready[1] != 'ready':
            self._break(f'cannot import the verifier {self._verifier}:\n{ready[-1]}', held)
            continue
          alive = True
        while sent < len(held) and process_lib.fits(
          process, [task.frame for task in itertools.islice(held, 1, sent + 1)]
        ):
          if sent == 0:
            head = time.monotonic()
          try:
            frames.write_all(process.stdin.fileno(), held[sent].frame)
          except BrokenPipeError:
            break  # it died, but earlier answers may be unread: the end of that pipe says whose task it was
          sent += 1
        answer = self._receive(process, head + limit)
      except (OSError, EOFError, ValueError) as e:
        timed_out = isinstance(e, TimeoutError) and alive
        process_lib.kill(process)
        process = None
        with self._changed:
          self.stats.restarts += 1
          self.stats.busy += time.monotonic() - head if sent else 0.0
        started = 0 if alive else started + 1
        if alive:
          self._head_failed(held, timed_out)
        elif started >= STARTS:
          self._break(f'a worker with the verifier {self._verifier} did not start in {STARTS} tries', held)
        continue
      if answer is None:  # closed
        break
      with self._changed:
        self.stats.busy += time.monotonic() - head
      head, sent = time.monotonic(), sent - 1
      self._finish(held.popleft(), answer[1:])
    if process is not None:
      process_lib.kill(process)
    with self._changed:
      left = list(held) + list(lane)
      lane.clear()
    for task in left:
      self._resolve(task, FAULT)

  def _take(self, lane: collections.deque, held: collections.deque) -> bool:
    """Fills held up to PIPELINE, fairly; waits if there is nothing at all. False when the pool is closed."""
    with self._changed:
      while not held and not lane and not self._closed:
        self._changed.wait()
      share = -(-len(lane) // len(self._threads)) if lane is self._queue else 1 - len(held)
      for _ in range(min(PIPELINE - len(held), share, len(lane))):
        held.append(lane.popleft())
      self._changed.notify_all()  # a submit may wait for room
      return not self._closed

  def _receive(self, process: subprocess.Popen, deadline: float):
    """The next answer frame, None if the pool closes. Raises TimeoutError, EOFError."""
    poll = select.poll()
    poll.register(process.stdout.fileno(), select.POLLIN)
    while not poll.poll(200):  # ms between looks at a close
      if self._closed:
        return None
      if time.monotonic() > deadline:
        raise TimeoutError
    return frames.read(process.stdout.fileno())

  def _finish(self, task: _Task, answer: list) -> None:
    if answer[1] == 'timeout' and task.quick:
      task.quick = False
      task.__post_init__()
      with self._changed:
        self.stats.slow += 1
        self._slow.append(task)
        self._changed.notify_all()
    elif answer[0] != 'raise':
      with self._changed:
        self.stats.timeouts += answer[1] == 'timeout'
      self._resolve(task, Verdict(*answer))
    elif answer[1] == 'SandboxUnavailable':
      self._forget(task)
      task.future.set_exception(SandboxUnavailable(answer[2]))
    else:
      self._fault(task, answer[2])

  def _head_failed(self, held: collections.deque, timed_out: bool) -> None:
    """The first held task is to blame: a time-out ends it, a death is forgiven once."""
    if not held:
      return
    task = held[0]
    task.deaths += 1
    if timed_out:
      with self._changed:
        self.stats.timeouts += 1
      self._resolve(held.popleft(), Verdict('wrong', 'time_limit' if task.is_code else 'timeout'))
    elif task.deaths > 1:
      text = f'{self._verifier}: its process ended by itself, twice, on a response of {len(task.content[1])} characters'
      self._fault(held.popleft(), text)

  def _fault(self, task: _Task, text: str) -> None:
    with self._changed:
      self.stats.faults += 1
      show, self.first_fault = not self.first_fault, self.first_fault or text
    if show:
      print(f'verifier fault (shown once, counted in stats.faults):\n{text}', file=sys.stderr, flush=True)
    self._resolve(task, FAULT)

  def _break(self, text: str, held: collections.deque) -> None:
    with self._changed:
      self._broken = text
      left = list(held) + list(self._queue) + list(self._slow)
      held.clear()
      self._queue.clear()
      self._slow.clear()
      self._changed.notify_all()
    for task in left:
      self._forget(task)
      task.future.set_exception(RuntimeError(text))

  def _forget(self, task: _Task) -> None:
    with self._changed:
      self._inflight.pop(task.key, None)

  def _resolve(self, task: _Task, verdict: Verdict) -> None:
    self._forget(task)
    task.future.set_result(verdict)


def _fits(process: subprocess.Popen, held: collections.deque, sent: int) -> bool:
  return process_lib.fits(process, [task.frame for task in itertools.islice(held, 1, sent + 1)])


def _done(verdict: Verdict) -> Future:
  future = Future()
  future.set_result(verdict)
  return future
