"""Around a command: a run that hangs is reported with stacks, SIGTERM stops it in order, and hosts fail together."""

import contextlib
import faulthandler
import logging
import signal
import sys
import threading
import time
import traceback

import jax
from jax.experimental import multihost_utils

from vibethinker_jax.runtime import hosts, peers, timeline

PREEMPTED = 143  # exit status: 128 + SIGTERM
PATIENCE, TIMES = 60.0, 10.0  # a wait is reported that is longer than both, seconds and times the longest one so far
LOG = logging.getLogger('vibethinker_jax')


class Preempted(SystemExit):
  """SIGTERM came, and what matters is saved. The exit status is PREEMPTED."""

  def __init__(self, stage: str = '', step: int = 0):
    super().__init__(PREEMPTED)
    done = f'stage {stage} is saved at step {step}, and' if stage else 'what was finished is saved, and'
    self.text = f'stopped by SIGTERM: {done} the same command goes on from there'


@contextlib.contextmanager
def guard(hang_seconds: float = 0.0):
  """Around everything that a command does after hosts.connect().

  Args:
    hang_seconds: ends a process that gave no sign of life for so long; 0 never. It is reported earlier.

  In a run of several processes an exception does not leave this block: the others are told, and the process ends.
  """
  several = hosts.count() > 1
  others = peers.Peers(_working) if several else None
  closed = threading.Event()
  threading.Thread(target=_watch, args=(closed, hang_seconds, others), name='watch', daemon=True).start()
  try:
    with _sigterm():
      yield
      hosts.barrier('the end')
  except Preempted as stop:
    if hosts.first():
      print(stop.text, file=sys.stderr, flush=True)
    hosts.barrier('the end')
    raise
  except BaseException as error:
    if not several:
      raise
    _raised(others, error)
  finally:
    closed.set()
    if several:
      others.close()


def _raised(others: peers.Peers, error: BaseException) -> None:
  """Ends this process; if another one is the reason, its name comes first."""
  if isinstance(error, jax.errors.JaxRuntimeError):
    time.sleep(
      peers.SILENT + 3 * peers.PERIOD
    )  # often of a connection to a host that is gone: `others` finds out which
  text = ' '.join(str(error).split()) or type(error).__name__
  if isinstance(error, SystemExit):
    show = lambda: print(error, file=sys.stderr, flush=True)
  else:
    show, text = lambda: traceback.print_exception(error), f'{type(error).__name__}: {text}'
  status = (
    error.code if isinstance(getattr(error, 'code', None), int) else 130 if isinstance(error, KeyboardInterrupt) else 1
  )
  others.failed(f'failed: {text[:500]}', status, show)


def _working() -> str:
  """Compiling: a host may be at it while the others, with a warmer cache, are done."""
  return hosts.place.busy or ('compiling' if timeline.compiling() else '')


def _watch(closed: threading.Event, hang_seconds: float, others: peers.Peers | None) -> None:
  """Reports waits that are long beside those before, and ends the process after one of hang_seconds."""
  place, looked, longest, reported = hosts.place, time.monotonic(), 0.0, 0.0
  active, since = place.active, place.since
  while not closed.wait(peers.PERIOD):
    now = time.monotonic()
    paused, looked = now - looked > peers.PERIOD + peers.PAUSED, now
    if place.active != active:
      longest = max(longest, place.since - since)
      active, since, reported = place.active, place.since, 0.0
    if paused or _working():
      since = now
    waited = now - since
    if waited > max(PATIENCE, TIMES * longest, 2 * reported):
      reported = waited
      _report(
        f'nothing was finished for {waited:.0f} s since {place.what!r} (the longest wait so far: {longest:.0f} s). '
        'The stacks of all threads follow'
      )
    if 0 < hang_seconds < waited:
      text = f'hangs: nothing was finished for {waited:.0f} s since {place.what!r}'
      if others:
        others.failed(text)
      print(f'error: this process {text}', file=sys.stderr, flush=True)
      peers.leave(1)


def _report(text: str) -> None:
  print(f'watchdog: host {hosts.index()} of {hosts.count()}: {text}', file=sys.stderr, flush=True)
  faulthandler.dump_traceback(sys.stderr)


# SIGTERM: what a preempted machine sends.

_deferred = False
_signalled = threading.Event()


@contextlib.contextmanager
def deferred():
  """Around a loop that asks `preempted` at every step. Elsewhere SIGTERM stops a run of one process at once."""
  global _deferred
  _deferred = True
  try:
    yield
  finally:
    _deferred = False


def preempted(step: int) -> bool:
  """Whether to save and stop now: the same on all hosts. To be asked by all of them at every step."""
  if hosts.count() > 1:
    return multihost_utils.reached_preemption_sync_point(step)  # JAX has the signal
  return _signalled.is_set()


@contextlib.contextmanager
def _sigterm():
  if hosts.count() > 1 or threading.current_thread() is not threading.main_thread():
    yield
    return

  def handle(*_):
    _signalled.set()
    if not _deferred:
      raise Preempted

  before = signal.signal(signal.SIGTERM, handle)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, before)
    _signalled.clear()
