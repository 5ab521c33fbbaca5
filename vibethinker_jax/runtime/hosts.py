"""What the processes (hosts) of one run agree on; a run of one process is the simple case.

Every process runs the same program. Host 0 alone writes files and prints; what the others must know of its files they
hear from it (`agreed`), so that no network disk's cache decides which way a host goes.
"""

from collections.abc import Callable
import contextlib
import itertools
import json
import logging
import os
import pathlib
import re
import time
from typing import Any

import jax
from jax._src import distributed  # its key-value store has no public name

PREFIX = 'vibethinker'
DAY = 24 * 3600 * 1000  # ms: a host that waits is ended by the watch, not by a limit here
CHUNK = 1 << 20  # characters of a message in one value


class Place:
  """Where this process is, for the watch (watch.py).

  Attributes:
    count: points reached that every host reaches. what: the last of them. active: any sign of life of the main thread.
    since: time.monotonic() of the last of these. busy: what this host does alone or may take long, '' nothing.
  """

  def __init__(self):
    self.count, self.what, self.active, self.since, self.busy = 0, 'the start', 0, time.monotonic(), ''


place = Place()
_messages = itertools.count()


def reach(what: str) -> None:
  """Marks a point that every host reaches the same number of times."""
  place.count, place.what = place.count + 1, what
  beat()


def beat() -> None:
  """A sign of life between such points."""
  place.active, place.since = place.active + 1, time.monotonic()


@contextlib.contextmanager
def busy(what: str):
  """Marks work in which a host may lawfully fall behind the others, or that gives no sign of life."""
  before, place.busy = place.busy, what
  try:
    yield
  finally:
    place.busy = before
    beat()


def connect() -> None:
  """Joins the other processes of this run if the environment names some. Call before JAX touches a device.

  The environment: JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID; or srun of Slurm with
  several tasks; or a TPU pod.

  Raises:
    ValueError: some of the three variables without the others.
  """
  names = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
  given = [name for name in names if os.environ.get(name)]
  if given and len(given) < len(names):
    raise ValueError(
      f'the environment has {", ".join(given)} but not {", ".join(set(names) - set(given))}: several '
      'processes need all three, one process none'
    )
  if given:
    address, processes, index = (os.environ[name] for name in names)
    if int(processes) > 1:
      _initialize(
        coordinator_address=address,
        num_processes=int(processes),
        process_id=int(index),
        cluster_detection_method='deactivate',
      )
  elif int(os.environ.get('SLURM_NTASKS', 1)) > 1 and 'SLURM_STEP_NODELIST' in os.environ:
    _initialize(local_device_ids=_slurm_devices())
  elif 'cpu' != os.environ.get('JAX_PLATFORMS') and _on_tpu():
    try:
      _initialize()
    except ValueError as error:  # a TPU without a description of its pod, such as a notebook's
      if 'should be defined' not in str(error) and 'must be defined' not in str(error):
        raise
  if not first():
    logging.getLogger(PREFIX + '_jax').setLevel(logging.WARNING)


def _initialize(**options) -> None:
  # peers.py notices a lost host in seconds. JAX's own heartbeat is for when Python cannot run; shorter than this, it
  # would end a run whose machines were only paused.
  jax.distributed.initialize(heartbeat_timeout_seconds=600, **options)


def _on_tpu() -> bool:
  return any(os.path.exists(node) for node in ('/dev/accel0', '/dev/vfio/0', '/dev/vfio/devices'))


def _slurm_devices() -> list[int] | None:
  """All GPUs of the node where each node has one task; None (JAX: one GPU a task) where it has several."""
  tasks = os.environ.get('SLURM_STEP_TASKS_PER_NODE', os.environ.get('SLURM_TASKS_PER_NODE', ''))
  if not re.fullmatch(r'1(\(x\d+\))?', tasks):
    return None
  return list(range(len([p for p in pathlib.Path('/dev').glob('nvidia*') if p.name[6:].isdigit()]))) or None


def client():
  """The coordinator's client, None in a run of one process."""
  return distributed.global_state.client if count() > 1 else None


def count() -> int:
  return distributed.global_state.num_processes or 1


def index() -> int:
  return distributed.global_state.process_id or 0


def first() -> bool:
  """Whether this process is the one that writes files and prints."""
  return index() == 0


def say(text: str) -> None:
  """Prints once for all hosts."""
  if first():
    print(text, flush=True)


def agreed(function: Callable[[], Any], what: str = 'what host 0 decides') -> Any:
  """`function()` of host 0 on every host, as JSON gives it back. All hosts must call this together.

  What it raises is raised on host 0, and ends the others (watch.guard).
  """
  text = None
  if first():
    with busy(what):
      text = json.dumps(function())
  return json.loads(_exchange(what, text, [0])[0])


def gather(value: Any, what: str = 'a gathering') -> list:
  """The JSON values of all hosts, in their order, on every host. All hosts must call this together."""
  return [json.loads(text) for text in _exchange(what, json.dumps(value), range(count()))]


def barrier(what: str) -> None:
  """Waits for all hosts."""
  gather(None, what)


def _exchange(what: str, text: str | None, speakers) -> list[str]:
  """The texts of the hosts that give one, on every host."""
  reach(what)
  if count() == 1:
    return [text]
  key, store = f'{PREFIX}/said/{next(_messages)}', client()
  if index() in speakers:
    parts = [text[i : i + CHUNK] for i in range(0, len(text), CHUNK)]
    for i, part in enumerate(parts):
      store.key_value_set(f'{key}/{index()}/{i}', part)
    store.key_value_set(f'{key}/{index()}/parts', str(len(parts)))
  get = lambda host, name: store.blocking_key_value_get(f'{key}/{host}/{name}', DAY)
  found = [''.join(get(host, i) for i in range(int(get(host, 'parts')))) for host in speakers]
  store.wait_at_barrier(key, DAY)
  if first():
    store.key_value_delete(key)  # with all under it: the coordinator keeps nothing
  return found
