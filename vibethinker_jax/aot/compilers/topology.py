"""Meshes of TPUs that are not there: libtpu, an extra of this package, compiles for them on any x86 Linux machine."""

import importlib.metadata
import importlib.util
import math
import os
import re
from typing import NamedTuple

import jax

from vibethinker_jax import sharding

# Read by libtpu when it is loaded. Without a TPU it would ask the cloud's metadata server for one; several processes
# may hold it at once, since none of them owns a device.
ENVIRONMENT = {
  'TPU_SKIP_MDS_QUERY': '1',
  'TPU_WORKER_HOSTNAMES': 'localhost',
  'TPU_ACCELERATOR_TYPE': 'v5litepod-16',
  'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  'TPU_STDERR_LOG_LEVEL': '3',
  'TPU_MIN_LOG_LEVEL': '3',
  'TPU_LOG_DIR': 'disabled',
}


class Chip(NamedTuple):
  """One kind of TPU. Per device as JAX counts them, so that a tpu7x chip has two.

  Attributes:
    flops: bfloat16 peak per second. bandwidth: of HBM, bytes per second. clock: of the compiler's `estimated_cycles`,
      Hz.
    ici: bytes per second that all links of a device receive together.
    memory: bytes of HBM that a program can use, as the compiler states it when a program takes more.
    dimensions: of a slice's shape. devices: per chip. largest: chips of the largest slice.
    options: of the compiler. platform: arguments of the topology.
  """

  flops: float
  bandwidth: float
  clock: float
  ici: float
  memory: float
  dimensions: int
  devices: int = 1
  largest: int = 256
  options: dict = {}
  platform: dict = {}


GIB = 2.0**30
# With the embedding's gather, or on large v5p slices the copy of its layout, on the SparseCore the compiled module
# cannot be printed (libtpu 0.0.52).
_NO_SPARSECORE = {'xla_tpu_offload_gather_to_sparsecore': 'false'}
_NO_SPARSECORE_COPIES = _NO_SPARSECORE | {'xla_tpu_enable_offloading_copy_to_sparsecore': 'false'}
# Peaks and bandwidths: cloud.google.com/tpu/docs. Clocks: of v6e and tpu7x assumed. v4 has one device per chip
# ("megacore") as JAX on a TPU VM does; memory as reported by libtpu 0.0.52.
CHIPS = {
  'v4': Chip(275e12, 1228e9, 1.05e9, 6 * 45e9, 30.75 * GIB, 3, largest=4096, platform={'chip_config_name': 'megacore'}),
  'v5e': Chip(197e12, 819e9, 1.5e9, 4 * 45e9, 15.75 * GIB, 2),
  'v5p': Chip(459e12, 2765e9, 1.75e9, 6 * 90e9, 95.73 * GIB, 3, largest=8960, options=_NO_SPARSECORE_COPIES),
  'v6e': Chip(918e12, 1640e9, 1.75e9, 4 * 90e9, 31.24 * GIB, 2, options=_NO_SPARSECORE),
  'tpu7x': Chip(1153e12, 3690e9, 1.75e9, 3 * 90e9, 94.74 * GIB, 3, devices=2, largest=9216, options=_NO_SPARSECORE),
}


def chip_of(topology: str) -> Chip:
  """The chip of a topology's name, v5e:4x4 for example.

  Raises:
    ValueError: not a known chip, or not a shape of its slices.
  """
  name, _, shape = topology.partition(':')
  if name not in CHIPS:
    raise ValueError(
      f'--topology={topology}: there is no chip {name!r}; choose from {", ".join(CHIPS)}, with a shape: '
      'v5e:4x4, v6e:16x16, v5p:2x2x2'
    )
  chip = CHIPS[name]
  whole = re.fullmatch(r'[1-9]\d*(x[1-9]\d*)*', shape)
  if not whole or shape.count('x') + 1 != chip.dimensions or count(topology) > chip.largest:
    example = {2: '4x4', 3: '2x2x2'}[chip.dimensions]
    raise ValueError(
      f'--topology={topology}: slices of {name} have {chip.dimensions} dimensions, as in {name}:{example}, and '
      f'at most {chip.largest} chips'
    )
  return chip


def count(topology: str) -> int:
  """Chips of a slice."""
  return math.prod(int(n) for n in topology.partition(':')[2].split('x'))


def prepare() -> None:
  """Sets what libtpu reads; call before anything loads it.

  Raises:
    ValueError: libtpu is not installed.
  """
  if importlib.util.find_spec('libtpu') is None:
    raise ValueError(
      "the TPU compiler is not installed: pip install -e '.[plan]' (libtpu; Linux on x86, no TPU needed)"
    )
  for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)
  os.environ.pop(
    'XLA_FLAGS', None
  )  # of CPUs and GPUs: libtpu ends a process at one it does not know; its own are LIBTPU_INIT_ARGS


def version() -> str:
  """Of what decides the compiled programs: jax and libtpu."""
  return f'jax {jax.__version__}, libtpu {importlib.metadata.version("libtpu")}'


def make_mesh(topology: str, sizes: dict) -> jax.sharding.Mesh:
  """The mesh that a run on this slice would make.

  Args:
    sizes: as config.mesh.

  Raises:
    ValueError: no such slice, sizes that do not fit it, or no libtpu.
  """
  from jax.experimental import topologies

  chip = chip_of(topology)
  prepare()
  try:
    devices = topologies.get_topology_desc(topology, 'tpu', **chip.platform).devices
  except jax.errors.JaxRuntimeError as error:
    raise ValueError(f'--topology={topology}: the compiler knows no such slice: {str(error).splitlines()[0]}') from None
  return sharding.make_mesh(**sizes, devices=devices)
