"""A pool of verifier processes that can be killed.

  with Pool(workers=2) as pool:
    verdicts = pool.verify([(response, {'answer': '42'}), (program, {'tests': {...}})])

Each worker has one thread here that starts it, feeds it, and replaces it. Workers are fresh processes (never
forks of a JAX process) with a clean environment; what passes between is length-prefixed JSON. A maths answer that is
not judged in answers.QUICK seconds is given to the slow lane, workers of lowest priority, so that a few bombs do not
hold up everything else. A function that judges many responses at once (see tasks.py) gets them as one task.
"""

from __future__ import annotations

import collections
from concurrent.futures import Future
import functools
import itertools
import json
import os
import select
import subprocess
import sys
import threading
import time

from vibethinker_jax.verify import default, frames, process as process_lib, tasks as tasks_lib
from vibethinker_jax.verify.code.sandbox import packages as packages_lib
from vibethinker_jax.verify.code.sandbox.client import SandboxUnavailable
from vibethinker_jax.verify.tasks import Stats, Task
from vibethinker_jax.verify.verdict import FAULT, OVERDUE, Verdict

MEMORY = 2.0  # GiB of address space of a worker; sympy needs 0.3
PIPELINE = 4  # tasks a worker holds: hides the round trip of 0.1 ms; few, since they wait behind a slow one
QUEUE = 4096  # tasks that may wait: submit blocks beyond, so that memory stays bounded
NICE = 10  # of the slow lane: a tenth of a processor against one that wants all of it
STARTUP = 60.0  # seconds a worker may take to be ready, or `timeout` where that is more: a model has to be loaded
STARTS = 3  # consecutive workers that died before they were ready: then the pool gives up with an error


class Pool:
  """Judges (response, row) pairs in killable worker processes.

  Args:
    workers: number of processes, those of the slow lane aside.
    verifier: importable 'module:function' with the signature (response: str, row: dict) -> what returned.py reads, or
      (responses: list, rows: list) -> as many of them where its name says so (tasks.is_batched).
    timeout: wall seconds for one call; then its worker is killed and replaced. The default verifier's verdict is
      ('wrong', 'time_limit') for a row with tests, else ('wrong', 'timeout'): nothing but what was written takes so
      long. That of a function of a user is ('invalid', 'timeout'): 0 might be its best reward.
    packages: names of the packages that programs may import; None: see sandbox/packages.py.
    memory: GiB of address space of a worker; 0: no limit, which what maps more than it uses (CUDA) needs.
    correct_at: the reward from which a response counts as correct, where the verifier returns numbers.
    batch: responses of one call at most, of a function that takes several. environment: names of variables of this
      process that a user's function may see.

  A worker that dies by itself: its task is tried once more, then ('invalid', 'fault'); so is what a verifier
  raises, and a value that is no reward (the first goes to stderr, and stays as first_fault). A batch that raises, dies
  or takes too long is judged again, one by one, so that a response spoils its own verdict only. Start the pool before
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
    batch: int = tasks_lib.SIZE,
    environment: tuple = (),
  ):
    if workers < 1 or ':' not in verifier:
      raise ValueError(f'Pool needs workers >= 1 and a verifier "module:function": {workers}, {verifier!r}')
    self.stats = Stats()
    self.first_fault = ''
    self._verifier, self._timeout = verifier, timeout
    own = verifier != default.NAME
    self._start = functools.partial(
      process_lib.start,
      [verifier, str(int(memory * 2**30)), repr(float(correct_at))],
      packages=packages_lib.installed(packages_lib.chosen() if packages is None else packages),
      environment=environment if own else (),
    )
    self._batch = batch if tasks_lib.is_batched(verifier) else 0
    self._open = tasks_lib.Batch()
    self._ready = not own
    self._queue, self._slow = collections.deque(), collections.deque()
    self._inflight = {}
    self._changed = threading.Condition()
    self._closed = False
    self._broken = None
    self._number = 0
    lanes = [self._queue] * workers + [self._slow] * (0 if own else -(-workers // 2))
    self._threads = [
      threading.Thread(target=self._serve, args=(i, lane), name=f'verifier-{i}', daemon=True)
      for i, lane in enumerate(lanes)
    ]
    for thread in self._threads:
      thread.start()

  def check(self) -> None:
    """Waits until a user's verifier is imported.

    Raises:
      ValueError: it cannot be.
    """
    with self._changed:
      while not (self._ready or self._broken or self._closed):
        self._changed.wait()
    if self._broken:
      raise ValueError(self._broken)

  def submit(self, response: str, row: dict) -> Future:
    """Queues one pair.

    Args:
      response: the model's whole text.
      row: JSON-compatible; with `tests` or `answer` for the default verifier.
    Returns:
      A Future of the Verdict, shared by identical pairs in flight; it cannot be cancelled. Its result()
      raises SandboxUnavailable if code cannot be run safely here. Of a batched function: see tasks.Hastened.
    Raises:
      TypeError, ValueError: the row is not JSON-compatible, or lacks what the default verifier needs.
      RuntimeError: the pool is closed, or its workers cannot be started.
    """
    is_code, quick = row.get('tests') is not None, False
    if self._batch:
      return self._submit_batched(response, row)
    if self._verifier == default.NAME:
      default.check(row)
      response, row = default.needed(response, row)
      verdict = default.at_once(response, row)
      if verdict is not None:
        with self._changed:
          self.stats.tasks += 1
          self.stats.fast += 1
        return tasks_lib.done(verdict)
      quick = 'answer' in row and 'constraints' not in row
    key = (response, json.dumps(row, sort_keys=True))
    with self._changed:
      self._await_room(QUEUE)
      if key in self._inflight:
        self.stats.shared += 1
        return self._inflight[key].futures[0]
      future = Future()
      future.set_running_or_notify_cancel()
      self._inflight[key] = self._put([response, row], [future], is_code, key, quick)
    return future

  def _await_room(self, most: int) -> None:
    while len(self._queue) >= most and not (self._closed or self._broken):
      self._changed.wait()
    if self._closed or self._broken:
      raise RuntimeError(self._broken or 'the verifier pool is closed')
    self.stats.tasks += 1

  def _put(self, content: list, *task) -> Task:
    self._number += 1
    made = Task([self._number, *content], *task)
    self._queue.append(made)
    self._changed.notify_all()
    return made

  def _submit_batched(self, response: str, row: dict) -> Future:
    size = len(frames.pack([response, row]))
    with self._changed:
      self._await_room(-(-QUEUE // self._batch))
      if self._open.size + size > tasks_lib.BYTES:
        self._seal(self._open)
      batch = self._open
      future = batch.add(response, row, size, lambda: self._seal(batch))
      if len(batch.futures) == self._batch:
        self._seal(batch)
    return future

  def _seal(self, batch: tasks_lib.Batch) -> None:
    """Gives the open batch to the workers; nothing where it is not open any more."""
    with self._changed:
      if batch is self._open and batch.futures:
        self._open = tasks_lib.Batch()
        self._put([batch.responses, batch.rows], batch.futures)

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
    for task in [*self._slow, Task([], self._open.futures)]:  # moved there while its workers were ending; not begun
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
    process, alive, sent, head, started = (None if slow else self._start(number), False, 0, 0.0, 0)
    while not (alive or slow or self._broken) or self._take(lane, held):
      if process is None:
        process, alive, sent = self._start(number), False, 0
        if slow:
          os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
      try:
        if not alive:
          ready = self._receive(process, time.monotonic() + max(STARTUP, self._timeout))
          if ready is None:
            break
          if ready[1] != 'ready':
            self._break(f'cannot import the verifier {self._verifier}: {ready[-1]}', held)
            continue
          alive = True
          with self._changed:
            self._ready = True
            self._changed.notify_all()
          if not held:
            continue
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

  def _finish(self, task: Task, answer: list) -> None:
    if answer[0] == 'batch':
      for future, one in zip(task.futures, answer[1]):
        self._finish(Task([0, ''], [future]), one)
    elif answer[1] == 'timeout' and task.quick:
      task.slow_down()
      with self._changed:
        self.stats.slow += 1
        self._slow.append(task)
        self._changed.notify_all()
    elif answer[0] != 'raise':
      with self._changed:
        self.stats.timeouts += answer[1] == 'timeout'
      self._resolve(task, Verdict(*answer))
    elif answer[1] == 'SandboxUnavailable':
      self._fail(task, SandboxUnavailable(answer[2]))
    elif len(task.futures) > 1:
      self._split(task, answer[2])
    else:
      self._fault(task, answer[2])

  def _head_failed(self, held: collections.deque, timed_out: bool) -> None:
    """The first held task is to blame: a time-out ends it, a death is forgiven once."""
    if not held:
      return
    task = held[0]
    task.deaths += 1
    if not timed_out and task.deaths < 2:
      return
    held.popleft()
    text = f'gave no verdict in {self._timeout:g} s' if timed_out else 'its process ended by itself, twice,'
    with self._changed:
      self.stats.timeouts += timed_out
    if len(task.futures) > 1:
      self._split(task, text)
    elif timed_out and self._verifier == default.NAME:
      self._resolve(task, Verdict('wrong', 'time_limit' if task.is_code else 'timeout'))
    else:
      size = len(task.content[1][0] if self._batch else task.content[1])
      self._fault(task, f'{self._verifier}: {text} on a response of {size} characters', OVERDUE if timed_out else FAULT)

  def _split(self, task: Task, text: str) -> None:
    """Judges the responses of a batch again, one by one, and before all others."""
    with self._changed:
      self.stats.split += 1
      first = self.stats.split == 1
      self._queue.extendleft(reversed(task.alone()))
      self._changed.notify_all()
    if first:
      count = len(task.futures)
      print(
        f'{self._verifier} failed on {count} responses at once; they are judged one by one (said once):\n{text}',
        file=sys.stderr,
        flush=True,
      )

  def _fault(self, task: Task, text: str, verdict: Verdict = FAULT) -> None:
    with self._changed:
      self.stats.faults += 1
      show, self.first_fault = not self.first_fault, self.first_fault or text
    if show:
      print(f'verifier fault (shown once, counted in stats.faults):\n{text}', file=sys.stderr, flush=True)
    self._resolve(task, verdict)

  def _break(self, text: str, held: collections.deque) -> None:
    with self._changed:
      self._broken = self._broken or text
      left = [*held, *self._queue, *self._slow, Task([], self._open.futures)]
      self._open = tasks_lib.Batch()
      for waiting in (held, self._queue, self._slow):
        waiting.clear()
      self._changed.notify_all()
    for task in left:
      self._fail(task, RuntimeError(text))

  def _forget(self, task: Task) -> None:
    with self._changed:
      self._inflight.pop(task.key, None)

  def _fail(self, task: Task, error: Exception) -> None:
    self._forget(task)
    for future in task.futures:
      future.set_exception(error)

  def _resolve(self, task: Task, verdict: Verdict) -> None:
    self._forget(task)
    for future in task.futures:
      future.set_result(verdict)
