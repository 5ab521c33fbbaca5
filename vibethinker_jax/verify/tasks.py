"""What waits in a pool: tasks, and batches for functions that judge many responses at once.

Which responses share a call depends on the order in which they are submitted and waited for, never on how fast the
verifier is: so a reward that a neighbour changes in its last digit is the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import dataclasses

from vibethinker_jax.verify import frames
from vibethinker_jax.verify.maths.answers import QUICK, SLOW
from vibethinker_jax.verify.verdict import Verdict

SIZE = 16  # responses of a call
BYTES = 1 << 26  # of a call: a quarter of what a frame may hold


def is_batched(name: str) -> bool:
  """Whether 'module:function' takes lists: the name of the function ends in _batch, as judge_batch does."""
  return name.rpartition(':')[2].endswith('_batch')


@dataclasses.dataclass
class Stats:
  """Counters since the pool started. fast: decided without a worker; shared: joined an identical task in flight; slow:
  sent to the slow lane; split: batches judged again one by one; busy: seconds that workers spent on tasks."""

  tasks: int = 0
  fast: int = 0
  shared: int = 0
  slow: int = 0
  timeouts: int = 0
  faults: int = 0
  restarts: int = 0
  split: int = 0
  busy: float = 0.0


@dataclasses.dataclass(eq=False)
class Task:
  """futures: of its verdict; of a batch one for each response."""

  content: list
  futures: list
  is_code: bool = False
  key: tuple = ()
  quick: bool = False
  deaths: int = 0
  frame: bytes = b''

  def __post_init__(self):
    self.frame = frames.pack([*self.content, QUICK if self.quick else SLOW])

  def slow_down(self) -> None:
    """For the slow lane."""
    self.quick = False
    self.__post_init__()

  def alone(self) -> list[Task]:
    """Of a batch: a batch of each of its responses."""
    number, responses, rows = self.content
    return [Task([number, [a], [b]], [future]) for a, b, future in zip(responses, rows, self.futures)]


class Hastened(Future):
  """Whoever waits for it has the batch judged that it is in, though it is not full; `hasten` does so at once."""

  def __init__(self, hasten: Callable[[], None]):
    super().__init__()
    self.hasten = hasten

  def result(self, timeout: float | None = None):
    self.hasten()
    return super().result(timeout)


class Batch:
  """The responses of one call, in the order in which they were submitted."""

  def __init__(self):
    self.responses, self.rows, self.futures, self.size = [], [], [], 0

  def add(self, response: str, row: dict, size: int, hasten: Callable[[], None]) -> Hastened:
    """size: bytes. hasten: has this batch judged."""
    future = Hastened(hasten)
    future.set_running_or_notify_cancel()
    self.responses.append(response)
    self.rows.append(row)
    self.futures.append(future)
    self.size += size
    return future


def done(verdict: Verdict) -> Future:
  """A future that is there already."""
  future = Future()
  future.set_result(verdict)
  return future
