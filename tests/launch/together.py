"""What the hosts tell one another, as each of several processes sees it; prints one JSON line."""

import json

from vibethinker_jax.runtime import hosts

if __name__ == '__main__':
  hosts.connect()
  hosts.CHUNK = 10
  import jax
  import numpy as np

  from vibethinker_jax import sharding

  mesh = sharding.make_mesh(data=1, fsdp=2, context=-1)
  split = sharding.batch_sharding(mesh)
  x = np.arange(32).reshape(4, 8)
  rows = sharding.rows_here(split, 4)
  place = sharding.place_rows(x[rows], rows, split, 4)
  total = jax.jit(lambda x: (x * np.arange(32).reshape(4, 8)).sum())
  found = {
    'index': hosts.index(),
    'count': hosts.count(),
    'devices': len(jax.devices()),
    'rows': rows,
    'agreed': hosts.agreed(lambda: {'long': 'words ' * 20, 'host': hosts.index()}),
    'gathered': hosts.gather([hosts.index(), 'x' * 25]),
    'empty': hosts.gather(''),
    'sums': [int(total(place)), int(total(sharding.place(x, split)))],
  }
  hosts.say('only one of them says this')
  hosts.barrier('the end')
  print(json.dumps(found), flush=True)
