"""Notices that another process of the run died, hangs or raised, names it, and ends this one.

Every process tells the coordinator's key-value store once a second where it is; host 0 judges all of them, the others
judge host 0. JAX's own heartbeat ends the others later, in words of its own, and sees no process that hangs in Python.
"""

import contextlib
import faulthandler
import json
import os
import socket
import subprocess
import sys
import threading
import time

import jax

from vibethinker_jax.runtime import hosts

PERIOD = 1.0  # seconds between signs of life
SILENT = 20.0  # without one: the process is dead or stopped, or cannot run a thread
BEHIND = 40.0  # so long behind the others, without a sign of work: it hangs
PAUSED = 5.0  # a look that comes so late: this machine was paused, and nobody is to blame
BEATS, FAILED = f'{hosts.PREFIX}/beat/', f'{hosts.PREFIX}/failed/'

# What the child of `_crash_teller` runs: it waits for what faulthandler writes when the process is crashing.
TELLER = """
import sys
text = sys.stdin.read()
if text:
  print("".join(x for x in text.splitlines(True) if not x.startswith("Extension modules")), file=sys.stderr, end="")
  print(sys.argv[1] if "Fatal Python error: Aborted" in text else sys.argv[2], file=sys.stderr, flush=True)
"""


class Beat:
  """What is known of one host. since: of when its last message is; behind: since when it is behind and idle, or
  None."""

  def __init__(self, now: float):
    self.message, self.since, self.behind = {}, now, None

  def hear(self, message: dict, top: int, now: float) -> None:
    """Takes its newest message; top: how far the farthest host is."""
    if message != self.message:
      self.since = now
    working = message.get('busy') or message.get('active') != self.message.get('active') or message['count'] >= top
    self.behind = None if working else self.behind or now
    self.message = message

  def trouble(self, now: float) -> str:
    """What is wrong with this host, '' nothing."""
    if 'done' in self.message:
      return ''
    place = f', since {self.message["what"]!r}' if self.message else ''
    if now - self.since > SILENT:
      return f'gives no sign of life for {now - self.since:.0f} s{place}: it died, was stopped, or lost the network'
    if self.behind and now - self.behind > BEHIND:
      return f'hangs: the others have waited for it for {now - self.behind:.0f} s{place}'
    return ''


class Peers:
  """Two threads of a process of several: one talks with the coordinator, the other judges, also when the first must
  wait.

  Args:
    working: says what this process is doing that may take long, '' nothing.
  """

  def __init__(self, working):
    self._working = working
    self._closed, self._ending = threading.Event(), threading.Lock()
    self._heard, self._beats = time.monotonic(), {}
    self._crash = _crash_teller()
    for function in (self._talk, self._judge):
      threading.Thread(target=function, name=f'peers{function.__name__}', daemon=True).start()

  def close(self) -> None:
    """To be called when all hosts are done."""
    self._closed.set()
    faulthandler.disable()
    self._crash.close()

  def failed(self, text: str, status: int = 1, show=lambda: None) -> None:
    """Tells the others that this host failed, shows why, and ends the process."""
    with self._ending:
      self._publish(hosts.index(), _name(), text)
      show()
      if hosts.first():
        time.sleep(3 * PERIOD)  # the coordinator ends with this process: the others read it first
      leave(status)

  def _publish(self, host: int, name: str, text: str) -> None:
    """Tells the others, in a thread: a coordinator that is stopped does not answer."""
    value = json.dumps({'host': host, 'name': name, 'text': text})
    thread = threading.Thread(target=_set, args=(f'{FAILED}{hosts.index()}', value), daemon=True)
    thread.start()
    thread.join(2 * PERIOD)

  def _talk(self) -> None:
    number = 0
    while not self._closed.wait(PERIOD):
      place, store, number = hosts.place, hosts.client(), number + 1
      message = {
        'number': number,
        'count': place.count,
        'what': place.what,
        'active': place.active,
        'name': _name(),
        'busy': self._working(),
      }
      try:
        store.key_value_set(f'{BEATS}{hosts.index()}', json.dumps(message), allow_overwrite=True)
        if found := store.key_value_dir_get(FAILED):
          self._end(**json.loads(found[0][1]))
        if hosts.first():
          found = {int(key.rsplit('/')[-1]): json.loads(text) for key, text in store.key_value_dir_get(BEATS)}
        else:
          found = {0: json.loads(store.blocking_key_value_get(f'{BEATS}0', int(1000 * SILENT)))}
      except jax.errors.JaxRuntimeError:  # the other thread judges how long this may last
        continue
      self._listen(found, time.monotonic())

  def _listen(self, found: dict[int, dict], now: float) -> None:
    self._heard = now
    top = max([hosts.place.count, *(m['count'] for m in found.values())])
    for host, message in found.items():
      self._beats.setdefault(host, Beat(now)).hear(message, top, now)

  def _judge(self) -> None:
    looked = time.monotonic()
    while not self._closed.wait(PERIOD):
      now = time.monotonic()
      late, looked = now - looked - PERIOD, now
      if late > PAUSED:
        self._heard, self._beats = now, {}
      elif now - self._heard > SILENT:
        self._end(
          0,
          'the coordinator',
          f'does not answer for {now - self._heard:.0f} s: it died, was stopped, or the network is down',
        )
      for host, beat in list(self._beats.items()):
        if trouble := beat.trouble(now):
          self._end(host, beat.message.get('name', ''), trouble)

  def _end(self, host: int, name: str, text: str) -> None:
    """Says which host is to blame and ends this one."""
    with self._ending:
      self._publish(host, name, text)
      if host == hosts.index() and text.startswith('hangs'):
        faulthandler.dump_traceback(sys.stderr)
      _tell(
        f'error: host {host} of {hosts.count()}{f" ({name})" if name else ""} {text}. This is host {hosts.index()}, '
        'ending too; the same command goes on from the last checkpoint'
      )
      if hosts.first():
        time.sleep(3 * PERIOD)
      leave(1)


def _set(key: str, value: str) -> None:
  with contextlib.suppress(jax.errors.JaxRuntimeError):  # the coordinator is gone as well
    hosts.client().key_value_set(key, value, allow_overwrite=True)


def _name() -> str:
  return f'{socket.gethostname()}, process {os.getpid()}'


def _tell(text: str) -> None:
  print(text, file=sys.stderr, flush=True)


def leave(status: int) -> None:
  """Ends the process at once: another host may never come to where Python would wait for it."""
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status)


def _crash_teller():
  """A pipe to a child that says in our words what is happening when JAX aborts the process from C++, as it does at once
  when the coordinator dies. (No code of this process can run then, and jaxlib's callback cannot be used from
  Python.)"""
  what = f'host {hosts.index()} of {hosts.count()} ({_name()})'
  why = 'the lines above say why' if hosts.first() else 'host 0, the coordinator, died or cannot be reached'
  lost = f'error: {what} was ended by JAX: {why}; the same command goes on from the last checkpoint'
  child = subprocess.Popen(
    [sys.executable, '-I', '-S', '-c', TELLER, lost, f'error: {what} crashed'],
    start_new_session=True,
    stdin=subprocess.PIPE,
    stdout=subprocess.DEVNULL,
    env={'PATH': os.environ.get('PATH', '')},
  )
  faulthandler.enable(child.stdin)
  return child.stdin
