"""One mesh and one table: parameter path -> PartitionSpec.

The mesh has four axes. `data` and `fsdp` split the batch (and `fsdp` the parameters and optimizer moments), `tensor`
splits heads, feed-forward columns and the vocabulary, `context` splits the positions of long sequences.
"""

import re

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P
import numpy as np

AXES = ('data', 'fsdp', 'tensor', 'context')
BATCH = ('data', 'fsdp')

# Exactly one rule matches each parameter (or optimizer moment) path. Leading axis of layers/*: N, never split.
RULES = (
  (r'(^|/)embedding$', P('tensor', 'fsdp')),  # [V, D]
  (r'(^|/)head$', P('fsdp', 'tensor')),  # [D, V]
  (r'(^|/)final_norm$', P()),  # [D]
  (r'(^|/)layers/(attention_norm|mlp_norm|q_norm|k_norm)$', P()),  # [N, D], [N, h]
  (r'(^|/)layers/[qkv]$', P(None, 'fsdp', 'tensor', None)),  # [N, D, H or K, h]
  (r'(^|/)layers/[qkv]_bias$', P(None, 'tensor', None)),  # [N, H or K, h]
  (r'(^|/)layers/o$', P(None, 'tensor', None, 'fsdp')),  # [N, H, h, D]
  (r'(^|/)layers/(gate|up)$', P(None, 'fsdp', 'tensor')),  # [N, D, F]
  (r'(^|/)layers/down$', P(None, 'tensor', 'fsdp')),  # [N, F, D]
)


def make_mesh(data: int = 1, fsdp: int = -1, tensor: int = 1, context: int = 1, devices=None) -> Mesh:
  """A mesh over all devices; one axis may be -1 and takes what is left.

  Raises:
    ValueError: the sizes do not multiply to the number of devices.
  """
  devices = jax.devices() if devices is None else devices
  sizes = [data, fsdp, tensor, context]
  if sizes.count(-1) == 1 and 0 not in sizes:
    rest = int(np.prod([s for s in sizes if s != -1]))
    sizes[sizes.index(-1)] = len(devices) // rest
  if min(sizes) < 1 or int(np.prod(sizes)) != len(devices):
    raise ValueError(
      f'mesh {dict(zip(AXES, (data, fsdp, tensor, context)))} does not fit {len(devices)} devices: '
      'the sizes must multiply to that number; one of them may be -1'
    )
  types = (AxisType.Auto,) * len(AXES)
  try:
    return jax.make_mesh(sizes, AXES, axis_types=types, devices=devices)
  except NotImplementedError:  # TPUs: an axis that is a part of a side of the slice, context=2 of v6e:16x16
    return Mesh(mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True), AXES, axis_types=types)


def platform() -> str:
  """'cpu', 'gpu' or 'tpu': what the program in hand is made for. Compiled ahead of time, that is the mesh's
  platform."""
  device = getattr(jax.sharding.get_abstract_mesh(), 'abstract_device', None)  # not in every version of jax
  return device.platform if device is not None else jax.default_backend()


# VMEM for what one fusion of a training program holds, MiB. The default is 16 on v5e and v5p and 32 on v6e. More makes
# large matrix products faster by the compiler's schedule, and compiling slower: an unrolled block grows with it. The
# SFT step of the 1.5B, 32K rows, v5e:4x4, one core (libtpu 0.0.52); 24 keeps a gain of 1.13:
#   MiB                               16           24           32
#   seconds of matrix products     19.51        17.24        16.88
#   MFU                      0.427-0.533  0.446-0.562  0.449-0.567
#   CPU seconds of compiling         204          314          400
FUSION_MIB = {'v5e': 24, 'v5p': 24, 'v6e': 48}


def compiler_options() -> dict | None:
  """Of training programs, for jax.jit, on the mesh in use: FUSION_MIB, on other TPUs with much VMEM half of it."""
  if platform() != 'tpu':
    return None
  from jax.experimental.pallas import tpu

  info = tpu.get_tpu_info()
  size = info.vmem_capacity_bytes // 2**20
  mebibytes = FUSION_MIB.get(info.chip_version.value, size // 2 if size >= 64 else 0)
  return {'xla_tpu_scoped_vmem_limit_kib': str(mebibytes * 2**10)} if mebibytes else None


def path_name(path) -> str:
  """'params/layers/q' for a jax key path."""
  return '/'.join(str(getattr(k, 'key', getattr(k, 'name', getattr(k, 'idx', k)))) for k in path)


def spec_for(name: str, shape: tuple[int, ...], axis_sizes: dict[str, int]) -> P:
  """PartitionSpec of one array. Scalars are replicated; an axis that does not divide its dimension is dropped
  (2 key/value heads on 4 tensor shards are replicated, as usual).

  Raises:
    ValueError: no rule or several rules match.
  """
  if not shape:
    return P()
  found = [spec for pattern, spec in RULES if re.search(pattern, name)]
  if len(found) != 1:
    raise ValueError(
      f'parameter {name!r} matches {len(found)} sharding rules, it must match exactly one: see RULES in sharding.py'
    )
  return P(*(axis if axis is None or shape[i] % axis_sizes[axis] == 0 else None for i, axis in enumerate(found[0])))


def tree_shardings(mesh: Mesh, tree):
  """NamedShardings for a tree of arrays or ShapeDtypeStructs (parameters or a whole train state)."""
  sizes = dict(mesh.shape)
  return jax.tree_util.tree_map_with_path(
    lambda path, x: NamedSharding(mesh, spec_for(path_name(path), x.shape, sizes)), tree
  )


def gathered(name: str, weight: jax.Array) -> jax.Array:
  """Constrains a weight of one layer to be whole on every chip (but for `tensor`) just before its use.

  Left alone, XLA:TPU slices FSDP matmuls into collective matmuls, at half the throughput. The same happens to the
  products of the backward pass if the gradient is constrained to be split (1143 instead of 613 ms of matrix products in
  a 32K step on v6e:4x4): it is whole, too. No-op without a mesh.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.size == 1 or mesh.manual_axes:
    return weight
  shape = ((1,) if name.startswith('layers/') else ()) + weight.shape
  axes = tuple(spec_for(name, shape, dict(mesh.shape)))[len(shape) - weight.ndim :]
  return jax.lax.with_sharding_constraint(weight, P(*(a if a == 'tensor' else None for a in axes)))


def copies(table_VD: jax.Array) -> jax.Array:
  """table_CVD: the embedding table whole on each device, as C arrays; for `lookup` and model.score, that may share it.

  Each device adds up its own gradient of all uses, and the devices' sums are added once. Used as one array, the table
  would have its gradient reduced for each use. Without a mesh, or with the vocabulary split over `tensor`, the table as
  it is.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if (
    mesh.empty
    or mesh.size == 1
    or mesh.manual_axes
    or mesh.shape['tensor'] > 1
    or table_VD.shape[1] % mesh.shape['fsdp']
  ):
    return table_VD
  whole = lambda part: jax.lax.all_gather(part, 'fsdp', axis=1, tiled=True)[None]
  return jax.shard_map(whole, in_specs=P(None, 'fsdp'), out_specs=P(AXES), check_vma=False)(table_VD)


def lookup(table: jax.Array, tokens_BL: jax.Array) -> jax.Array:
  """x_BLD: the rows of table_VD or of `copies` of it."""
  if table.ndim == 2:
    return gathered('embedding', table)[tokens_BL]
  rows = P(BATCH, 'context')
  return jax.shard_map(
    lambda table, tokens: table[0][tokens], in_specs=(P(AXES), rows), out_specs=rows, check_vma=False
  )(table, tokens_BL)


def place(x, sharding: NamedSharding) -> jax.Array:
  """A host array that is the same on every host, onto the devices; each host moves only its own part."""
  if sharding.is_fully_addressable:
    return jax.device_put(x, sharding)
  x = np.asarray(x)
  return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def rows_here(sharding: NamedSharding, rows: int) -> list[int]:
  """Which rows of a [rows, ...] batch lie, wholly or in part, on devices of this host."""
  indices = NamedSharding(sharding.mesh, P(*sharding.spec[:1])).addressable_devices_indices_map((rows,)).values()
  return sorted({row for (index,) in indices for row in range(*index.indices(rows))})


def place_rows(x, rows: list[int], sharding: NamedSharding, total: int) -> jax.Array:
  """The global [total, ...] array from the rows of this host, x[i] being row rows[i]."""
  x, where = np.asarray(x), {row: i for i, row in enumerate(rows)}

  def part(index):
    local = [where[row] for row in range(*index[0].indices(total))]
    return x[(local, *index[1:])]

  return jax.make_array_from_callback((total, *x.shape[1:]), sharding, part)


def batch_sharding(mesh: Mesh, ndim: int = 2) -> NamedSharding:
  """Sharding of [B, L, ...] batches: rows over data and fsdp, positions over context."""
  return NamedSharding(mesh, P(BATCH, 'context', *(None,) * (ndim - 2)) if ndim > 1 else P(BATCH))
