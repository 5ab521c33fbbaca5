"""Where the wall time of a process goes, and traces of single steps for a profiler.

At any moment one phase is counted, the innermost that the main thread is in: `train` (updates and scoring), `rollout`,
`verify` (waiting for verdicts), `checkpoint` (reading and writing models), `compile`, and for the rest `idle`.
"""

import json
import logging
import pathlib
import threading
import time

import jax

from vibethinker_jax.runtime import disk, hosts

PHASES = ('train', 'rollout', 'verify', 'checkpoint', 'compile', 'idle')
USEFUL = ('train', 'rollout')  # what goodput is the share of
COMPILING = (
  '/jax/core/compile/jaxpr_trace_duration',
  '/jax/core/compile/jaxpr_to_mlir_module_duration',
  '/jax/core/compile/backend_compile_duration',
)


class phase:  # pylint: disable=invalid-name
  """A context manager: the time in it, but for phases inside, is of this name. `name` may still be changed inside."""

  def __init__(self, name: str):
    assert name in PHASES, name
    self.name = name

  def __enter__(self):
    _count()
    _stack.append(self)
    return self

  def __exit__(self, *_) -> None:
    _count()
    del _stack[_stack.index(self) :]


_stack, _seconds, _since = [phase('idle')], dict.fromkeys(PHASES, 0.0), time.monotonic()


def _count() -> None:
  global _since
  now = time.monotonic()
  _seconds[_stack[-1].name] += now - _since
  _since = now


def compiling() -> bool:
  return _stack[-1].name == 'compile'


def take() -> dict[str, float]:
  """Seconds of each phase since the last call."""
  _count()
  found = {name: round(value, 4) for name, value in _seconds.items()}
  _seconds.update(dict.fromkeys(PHASES, 0.0))
  return found


def goodput(seconds: dict[str, float]) -> float | None:
  """The share of USEFUL phases."""
  return sum(seconds[name] for name in USEFUL) / total if (total := sum(seconds.values())) else None


def record(directory: pathlib.Path, what: int | str) -> dict[str, float]:
  """Appends {'time', 'what' (a step, 'start' or 'end'), 'seconds' since the last record} to timeline.jsonl, on host 0.

  Unlike metrics.jsonl, this file keeps what a stopped run did in vain.
  """
  seconds = take()
  if hosts.first():
    line = json.dumps({'time': round(time.time(), 3), 'what': what, 'seconds': seconds}) + '\n'
    with disk.writing('the timeline', directory):
      directory.mkdir(parents=True, exist_ok=True)
      with (directory / 'timeline.jsonl').open('ab', buffering=0) as file:
        disk.append(file, line.encode(), 'the timeline')
  return seconds


def _compiling(event: str, *_, **__) -> None:
  if event in COMPILING and threading.current_thread() is threading.main_thread():
    phase('compile').__enter__()


def _compiled(event: str, *_, **__) -> None:
  if event in COMPILING and threading.current_thread() is threading.main_thread() and compiling():
    _stack[-1].__exit__()
    hosts.beat()


jax.monitoring.register_scalar_listener(_compiling)
jax.monitoring.register_event_time_span_listener(_compiled)


class Profile:
  """Traces of the steps from the first to the last of `steps` (none: ()), for xprof or TensorBoard, in `directory`."""

  def __init__(self, directory: pathlib.Path, steps: tuple):
    self._directory, self._steps, self._on = directory, steps, False

  def before(self, step: int) -> None:
    """Call before every step."""
    if self._steps and step == self._steps[0]:
      options = jax.profiler.ProfileOptions()
      options.python_tracer_level = 0  # every Python call would drown the rest
      jax.profiler.start_trace(str(self._directory), profiler_options=options)
      self._on = True
    elif self._on and step == self._steps[1] + 1:
      self.stop()

  def stop(self) -> None:
    if self._on:
      self._on = False
      try:
        with disk.writing('the profile', self._directory):
          jax.profiler.stop_trace()
      except disk.Unwritable as error:  # hours of training are worth more than a trace of it
        logging.getLogger('vibethinker_jax').warning('%s; the run goes on without it', error)
