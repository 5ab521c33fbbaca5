"""A process of several in a loop of steps with a collective each, which can fail in the middle.

python tests/launch/loop.py HOST FAULT [SECONDS]   the host with that number does it at step 5; SECONDS: shorter limits
"""

import os
import signal
import sys
import time

import jax
import numpy as np

from vibethinker_jax import sharding
from vibethinker_jax.runtime import hosts, peers, watch


def fault(kind: str) -> None:
  if kind == 'kill':
    os.kill(os.getpid(), signal.SIGKILL)
  elif kind == 'stop':
    os.kill(os.getpid(), signal.SIGSTOP)
  elif kind == 'raise':
    raise RuntimeError('the cat ate it')
  elif kind == 'exit':
    raise SystemExit('error: nothing to eat')
  elif kind == 'hang':
    time.sleep(1000)
  elif kind == 'term':
    os.kill(os.getpid(), signal.SIGTERM)


def main(host: int, kind: str, limit: float) -> None:
  peers.SILENT, peers.BEHIND = limit, limit
  hosts.connect()
  with watch.guard():
    mesh = sharding.make_mesh()
    rows = sharding.batch_sharding(mesh)
    with jax.set_mesh(mesh), watch.deferred():
      total = jax.jit(lambda x: x.sum())
      x = sharding.place(np.ones((8, 4), np.float32), rows)
      for step in range(1, 21):
        if step == 5 and hosts.index() == host:
          fault(kind)
        hosts.reach(f'step {step}')
        assert float(total(x)) == 32
        if watch.preempted(step):
          hosts.say(f'saved {hosts.agreed(lambda step=step: step)}')
          raise watch.Preempted('loop', step)
        time.sleep(0.5)
    hosts.say(f'reached {step}')


if __name__ == '__main__':
  main(int(sys.argv[1]), sys.argv[2], float((sys.argv + ['20'])[3]))
