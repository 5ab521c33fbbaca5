"""Runs a command as several JAX processes on this machine's CPU: what several hosts do, without several hosts.

  python launch/local_multiprocess.py --processes=2 --devices=4 -- \
      python -m vibethinker_jax.main --config=configs/tiny.py --workdir=runs/tiny

Each process gets that many fake devices. Its lines come out with the number of the process before them; process 0
writes the files. When one ends badly the others have some seconds to say what they know, then they are ended too, and
the exit status is that of the first.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from absl import app, flags

PROCESSES = flags.DEFINE_integer('processes', 2, 'JAX processes.', lower_bound=1)
DEVICES = flags.DEFINE_integer('devices', 4, 'Fake devices of each process.', lower_bound=1)
GRACE = flags.DEFINE_float(
  'grace', 10.0, 'Seconds that the others have to end by themselves, then after SIGTERM.', lower_bound=0.0
)
# The CPU collectives print '[Gloo] Rank 0 is connected to 1 peer ranks. Expected number of connected peer ranks is : 1'
# at every start, piece by piece and from several threads: the end of one may stand on a line of its own.
NOISE = '[Gloo] Rank '
PIECES = re.compile(
  r'(?:\[Gloo\] Rank | is connected to | ?peer ranks\. |Expected number of connected peer ranks is : |\d+)*\s*'
)


def environment(process: int, processes: int, devices: int, port: int) -> dict[str, str]:
  """The variables of one process, for hosts.connect and JAX."""
  return {
    'JAX_PLATFORMS': 'cpu',
    'JAX_NUM_CPU_DEVICES': str(devices),
    'JAX_CPU_COLLECTIVES_IMPLEMENTATION': 'gloo',
    'JAX_COORDINATOR_ADDRESS': f'localhost:{port}',
    'JAX_NUM_PROCESSES': str(processes),
    'JAX_PROCESS_ID': str(process),
    'PYTHONUNBUFFERED': '1',
  }


def free_port() -> int:
  with socket.socket() as s:
    s.bind(('localhost', 0))
    return s.getsockname()[1]


def start(command: list[str], process: int, processes: int, devices: int, port: int, **options) -> subprocess.Popen:
  """One of the processes; on Linux it ends with this one, however this one ends."""

  def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

  options = {'preexec_fn': die_with_parent if sys.platform == 'linux' else None} | options
  return subprocess.Popen(command, env=os.environ | environment(process, processes, devices, port), **options)


def run(command: list[str], processes: int, devices: int, grace: float) -> int:
  """Runs all, copies their lines, and returns the exit status: of the first that ended badly, 0 if none did."""
  port, pipe = free_port(), subprocess.PIPE
  running = [
    start(
      command,
      i,
      processes,
      devices,
      port,
      stdin=subprocess.DEVNULL,
      stdout=pipe,
      stderr=pipe,
      text=True,
      errors='replace',
    )
    for i in range(processes)
  ]
  copies = [
    threading.Thread(target=copy, args=(i, *streams), daemon=True)
    for i, p in enumerate(running)
    for streams in ((p.stdout, sys.stdout), (p.stderr, sys.stderr))
  ]
  for thread in copies:
    thread.start()
  asked = []
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: asked.append(number))
  status, deadline, kill = 0, None, signal.SIGTERM
  while None in [p.poll() for p in running]:
    time.sleep(0.05)
    while asked:
      send(running, asked.pop(0))
    bad = [i for i, p in enumerate(running) if p.returncode]
    if bad and not status:
      code = running[bad[0]].returncode
      status = code if code > 0 else 128 - code
      end = f'ended with status {code}' if code > 0 else f'was killed by {signal.Signals(-code).name}'
      print(f'process {bad[0]} of {processes} {end}', file=sys.stderr, flush=True)
      deadline = time.monotonic() + grace
    if deadline and time.monotonic() > deadline:
      send(running, kill)
      deadline, kill = time.monotonic() + grace, signal.SIGKILL
  for thread in copies:
    thread.join(timeout=5)
  bad = [p.returncode for p in running if p.returncode]
  return status or (bad[0] if bad and bad[0] > 0 else 128 - bad[0] if bad else 0)


def send(running: list[subprocess.Popen], number: int) -> None:
  for p in running:
    if p.poll() is None:
      p.send_signal(number)


def copy(process: int, source, target) -> None:
  """Copies lines with the number of the process before them."""
  open_ = 0  # lines of noise that were begun and not ended
  for line in source:
    begun = line.count(NOISE)
    if begun or open_ and PIECES.fullmatch(line):
      open_ += begun - 1
    elif line.strip():
      target.write(f'[{process}] {line}' if line.endswith('\n') else f'[{process}] {line}\n')
      target.flush()


def main(argv: list[str]) -> None:
  command = argv[1:]
  if not command:
    sys.exit('error: give the command after --')
  if not shutil.which(command[0]):
    sys.exit(f'error: {command[0]}: there is no such command')
  sys.exit(run(command, PROCESSES.value, DEVICES.value, GRACE.value))


if __name__ == '__main__':
  app.run(main)
