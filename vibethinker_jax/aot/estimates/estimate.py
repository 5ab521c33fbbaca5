"""From what the compiler wrote to seconds: an estimate with a bracket, never a measurement.

A step takes the sum of
  * its matrix products, by the compiler's own cycles (for large ones these were 88 to 98% of the chip's peak),
  * everything else on the core, by the smaller of the compiler's cycles and the HBM traffic at full bandwidth (the
    cycles of streaming ops are 2 to 4 times what the traffic takes),
  * Pallas kernels, whose cycles the compiler does not give: their causal matrix products at 40% and at 60% of peak,
  * collectives that nothing hides, at the full bandwidth of the links.
No chip was at hand to check it; take it as good to 25%, and better for comparing two programs.
"""

import math
import re
from typing import NamedTuple

from vibethinker_jax.aot.compilers.topology import Chip
from vibethinker_jax.aot.estimates import hlo

EFFICIENCIES = (0.4, 0.6)  # of the attention kernel; splash's forward kernel has a static schedule of 61% on v5e
# Matrix products of [L, h] x [h, L] size that one call makes, by the kernel's name. The fused backward kernel computes
# the scores and dP again, and from them dV, dK and dQ.
SPLASH = ((r'splash_mqa_fwd', 2), (r'splash_mqa_dkv', 5))
DECODE = 'page_attention'
BANDWIDTHS = (0.6, 0.85)  # of HBM, in decoding: what engines reach, at best


class Cost(NamedTuple):
  """Seconds of one run on each device.

  Attributes:
    mxu, other, exposed: as above. kernels: of Pallas kernels at the peak. hidden: of collectives behind other work.
    unknown_loops: loops whose bound is not a constant: they count once if they hold a matrix product, else not at all.
  """

  mxu: float
  other: float
  kernels: float
  exposed: float
  hidden: float
  unknown_loops: tuple

  def seconds(self, efficiency: float) -> float:
    core = self.mxu + self.other + self.kernels / efficiency
    return max(core, self.hidden) + self.exposed


def cost(module: hlo.Module, chip: Chip) -> Cost:
  """The parts of an estimate.

  Raises:
    ValueError: a Pallas kernel that is not known here.
  """
  trips = hlo.bookkeeping(module)
  ops, unknown = hlo.executed(module, trips)
  parts = dict.fromkeys(('mxu', 'other', 'kernel', 'collective', 'copy'), 0.0)
  for op in ops:
    parts[op.place] += op.count * _seconds(op, chip)
  exposed = hidden = 0.0
  for one in hlo.collectives(module, trips):
    seconds = one.count * one.received / chip.ici
    exposed, hidden = exposed + seconds * (not one.overlapped), hidden + seconds * one.overlapped
  return Cost(parts['mxu'], parts['other'], parts['kernel'], exposed, hidden, tuple(unknown))


def _seconds(op: hlo.Executed, chip: Chip) -> float:
  cycles, memory = op.cycles / chip.clock, op.bytes / chip.bandwidth
  if op.place == 'mxu':
    return cycles or memory
  if op.place == 'kernel':
    return kernel_flops(op) / chip.flops
  if op.place == 'other':
    return min(cycles, memory) if cycles else memory
  return 0.0


def kernel_flops(op: hlo.Executed) -> float:
  """Of one call of a Pallas kernel: products over earlier positions only. 0 for those that wait for memory (DECODE)."""
  if re.search(DECODE, op.name):
    return 0.0
  for pattern, products in SPLASH:
    if re.search(pattern, op.name):
      *heads, length, width = next(a.shape for a in op.arrays if len(a.shape) >= 4)  # the queries
      # More than queries with `context`. Their axis of one row may be gone: [K, keys, h].
      keys = max(a.shape[-2] for a in op.arrays if len(a.shape) >= 3 and a.shape[-1] == width)
      return products * 2.0 * math.prod(heads) * length * keys / 2 * width
  raise ValueError(
    f'the kernel {op.name!r} has no entry in aot/estimates/estimate.py: how many operations does it make?'
  )


class DecodeStep(NamedTuple):
  """One decode step of a device: it reads all weights and every token in the cache, and computes meanwhile.

  Attributes:
    core: seconds of what the core computes. weights: bytes. token: bytes of one token in the cache.
  """

  core: float
  weights: float
  token: float

  def seconds(self, tokens: float, chip: Chip, efficiency: float) -> float:
    """With so many tokens in the cache; efficiency: of the bandwidth."""
    return max(self.core, (self.weights + tokens * self.token) / chip.bandwidth) / efficiency
