"""Reads what the TPU compiler wrote about a program: the scheduled HLO text, with loops multiplied out.

The compiler's own cost analysis counts loops once and Pallas kernels not at all; the text has what is needed to do
better. Each fusion carries `estimated_cycles`, each array its memory space, each loop its bound.
"""

import collections
from collections.abc import Iterator
import functools
import re
from typing import NamedTuple

WIDTHS = {
  'pred': 1,
  's4': 0.5,
  'u4': 0.5,
  's8': 1,
  'u8': 1,
  'f8e4m3fn': 1,
  'f8e5m2': 1,
  's16': 2,
  'u16': 2,
  'f16': 2,
  'bf16': 2,
  's32': 4,
  'u32': 4,
  'f32': 4,
  's64': 8,
  'u64': 8,
  'f64': 8,
}
COLLECTIVES = ('all-gather', 'all-reduce', 'reduce-scatter', 'all-to-all', 'collective-permute', 'ragged-all-to-all')
FREE = (
  'parameter',
  'constant',
  'get-tuple-element',
  'tuple',
  'bitcast',
  'iota',
  'after-all',
  'partition-id',
  'replica-id',
  'opt-barrier',
  'optimization-barrier',
)
IN_HBM = (0, 5)  # memory spaces; 1 is VMEM, which costs no HBM traffic

_ARRAY = re.compile(r'\b([a-z][a-z0-9]*)\[([0-9,]*)\](\{[^}]*\})?')
_SPACE = re.compile(r'S\((\d+)\)')
_HEADER = re.compile(r'^(ENTRY )?%([\w.\-]+) \(.*\{\s*$')
_OP = re.compile(r'^  (ROOT )?%[\w.\-]+ = ')
_CALLED = re.compile(r'(?:calls|to_apply)=%([\w.\-]+)')


class Array(NamedTuple):
  dtype: str
  shape: tuple
  space: int

  @property
  def bytes(self) -> float:
    size = WIDTHS[self.dtype]
    for n in self.shape:
      size *= n
    return size


class Op(NamedTuple):
  """One line: `%name = shape kind(operands), attributes`; arguments is the text between the brackets."""

  name: str
  shape: str
  kind: str
  operands: tuple
  arguments: str
  attributes: str


class Module(NamedTuple):
  computations: dict
  entry: str


class Executed(NamedTuple):
  """An op with how often it runs.

  Attributes:
    place: 'mxu' (holds a matrix product), 'kernel' (Pallas), 'collective', 'copy' (asynchronous moves) or 'other'.
    cycles: the compiler's estimate of one run, 0 where it gives none. bytes: of HBM that one run reads and writes.
    arrays: operands of a kernel, then its results. source: the JAX function and scope that it comes from.
  """

  name: str
  place: str
  count: float
  cycles: int
  bytes: float
  arrays: tuple
  source: str


class Collective(NamedTuple):
  """One run of it: bytes of the whole array (a reduce-scatter's operand, else the result). overlapped: with other
  work."""

  kind: str
  bytes: float
  count: float
  overlapped: bool
  source: str

  @property
  def received(self) -> float:
    """Bytes that come in to a device: an all-reduce is a reduce-scatter and an all-gather."""
    return self.bytes * (2 if self.kind == 'all-reduce' else 1)


def arrays(shape: str) -> list[Array]:
  """All arrays of a shape as HLO prints it, tuples flattened."""
  found = []
  for dtype, sizes, layout in _ARRAY.findall(shape):
    if dtype in WIDTHS:
      space = _SPACE.search(layout)
      found.append(Array(dtype, tuple(int(n) for n in sizes.split(',') if n), int(space.group(1)) if space else 0))
  return found


def traffic(shape: str) -> float:
  """Bytes of a shape's arrays that lie in HBM."""
  return sum(array.bytes for array in arrays(shape) if array.space in IN_HBM)


def parse(text: str) -> Module:
  """The computations of a module; lines inside a quoted attribute (kernel_metadata) are joined to their op.

  Raises:
    ValueError: not the text of an HLO module.
  """
  computations, entry, current = {}, None, None
  for line in _joined(text):
    if header := _HEADER.match(line):
      current = header.group(2)
      computations[current] = []
      entry = current if header.group(1) else entry
    elif line == '}':
      current = None
    elif current and (op := _parse_op(line)):
      computations[current].append(op)
  if entry is None:
    raise ValueError(f'no entry computation in an HLO module of {len(text)} characters')
  return Module(computations, entry)


def _joined(text: str) -> Iterator[str]:
  inside, pending = False, ''
  for line in text.splitlines():
    if inside and not _OP.match(line) and line != '}':
      pending += ' ' + line.strip()
      continue
    if pending:
      yield pending
    pending = line
    inside = bool(_HEADER.match(line)) or (inside and line != '}')
  yield pending


def _closing(text: str) -> int:
  """Index of the bracket that closes text[0]."""
  depth = 0
  for i, character in enumerate(text):
    depth += (character == '(') - (character == ')')
    if depth == 0:
      return i
  return len(text) - 1


def _parse_op(line: str) -> Op | None:
  line = re.sub(r'/\*index=\d+\*/', '', line).strip().removeprefix('ROOT ')
  head = re.match(r'%([\w.\-]+) = ', line)
  if not head:
    return None
  rest = line[head.end() :]
  end = _closing(rest) + 1 if rest.startswith('(') else rest.find(' ')
  shape, rest = rest[:end], rest[end:].strip()
  kind = re.match(r'([\w\-]+)\(', rest)
  if end <= 0 or not kind:
    return None
  rest = rest[len(kind.group(1)) :]
  close = _closing(rest)
  arguments = rest[1:close]
  return Op(
    head.group(1), shape, kind.group(1), tuple(re.findall(r'%([\w.\-]+)', arguments)), arguments, rest[close + 1 :]
  )


def trip_count(module: Module, loop: Op) -> int | None:
  """How often a while loop runs: the constant that its condition compares with, if it is one."""
  condition = module.computations[re.search(r'condition=%([\w.\-]+)', loop.attributes).group(1)]
  by_name = {op.name: op for op in condition}
  for op in condition:
    if op.kind in ('compare', 'fusion'):
      for name in op.operands:
        constant = by_name.get(name)
        if constant and constant.kind == 'constant' and re.fullmatch(r'\d+', constant.arguments):
          return int(constant.arguments)
  return None


def body(loop: Op) -> str:
  return re.search(r'body=%([\w.\-]+)', loop.attributes).group(1)


def _called(op: Op) -> list[str]:
  if op.kind == 'conditional':
    branches = re.search(r'branch_computations=\{([^}]*)\}', op.attributes)
    return re.findall(
      r'%([\w.\-]+)',
      branches.group(1) if branches else ' '.join(re.findall(r'(?:true|false)_computation=%[\w.\-]+', op.attributes)),
    )
  return _CALLED.findall(op.attributes)


def _contains(module: Module, computation: str, kinds: tuple, seen: frozenset = frozenset()) -> bool:
  if computation in seen or computation not in module.computations:
    return False
  return any(
    op.kind in kinds or any(_contains(module, name, kinds, seen | {computation}) for name in _called(op))
    for op in module.computations[computation]
  )


def executed(module: Module, trips: dict[str, int] | None = None) -> tuple[list[Executed], list[str]]:
  """(every op that runs, with how often; names of loops without a known bound, which count `trips[name]` times or
  once).

  Of a conditional all branches count.
  """
  found, unknown = [], []
  holds = functools.cache(lambda name, kinds: _contains(module, name, kinds))

  def walk(computation, count):
    shapes = {op.name: op.shape for op in module.computations[computation]}
    for op in module.computations[computation]:
      if op.kind == 'while':
        times = trip_count(module, op)
        if times is None:
          unknown.append(op.name)
          times = (trips or {}).get(op.name, 1)
        walk(body(op), count * times)
      elif op.kind in ('call', 'conditional', 'async-start'):
        for name in _called(op):
          walk(name, count)
      elif op.kind not in FREE and not op.kind.endswith('-done'):
        found.append(_executed(op, count, shapes, holds))

  walk(module.entry, 1)
  return found, unknown


def _executed(op: Op, count: float, shapes: dict, holds) -> Executed:
  called = _called(op)
  cycles = re.search(r'"estimated_cycles":"(\d+)"', op.attributes)
  within = lambda kinds: op.kind in kinds or any(holds(name, kinds) for name in called)
  if 'tpu_custom_call' in op.attributes:
    place = 'kernel'
  elif within(('convolution', 'dot')):
    place = 'mxu'
  elif op.kind.removesuffix('-start') in COLLECTIVES or within(COLLECTIVES):
    place = 'collective'
  elif op.kind in ('copy-start', 'slice-start'):
    place = 'copy'
  else:
    place = 'other'
  sizes = [traffic(op.shape)] + [traffic(shapes.get(name, '')) for name in op.operands]
  moved = sum(sizes)
  if not cycles and re.search('gather|scatter|dynamic', op.name):
    moved = 2 * sum(size for size in sizes if size < max(sizes))  # not the whole table, only the rows that move
  kept = place == 'kernel'
  parts = (
    tuple(a for name in op.operands for a in arrays(shapes.get(name, ''))) + tuple(arrays(op.shape)) if kept else ()
  )
  return Executed(op.name, place, count, int(cycles.group(1)) if cycles else 0, moved, parts, _source(op))


def _source(op: Op) -> str:
  found = re.search(r'op_name="([^"]*)"', op.attributes)
  return found.group(1) if found else ''


def collectives(module: Module, trips: dict[str, int] | None = None) -> list[Collective]:
  """Every collective once, also those inside fusions, with its number of runs.

  One that was fused with other work to overlap them is printed in each of the computations that carry it on; the pieces
  have the same channel.
  """
  found = {}

  def walk(computation, count, loop):
    for op in module.computations[computation]:
      if op.kind == 'while':
        times = trip_count(module, op)
        walk(body(op), count * ((trips or {}).get(op.name, 1) if times is None else times), op.name)
        continue
      kind = op.kind.removesuffix('-start')
      if kind in COLLECTIVES:
        channel = re.search(r'channel_id=(\d+)', op.attributes)
        key = loop, kind, channel.group(1) if channel else op.name
        overlapped = op.kind.endswith('-start') or 'async_collective_fusion_config' in op.attributes
        overlapped |= key in found and found[key].overlapped
        found[key] = Collective(kind, _payload(module.computations[computation], op), count, overlapped, _source(op))
      if op.kind in ('fusion', 'call', 'conditional', 'async-start', 'custom-call'):
        for name in _called(op):
          if name in module.computations:
            walk(name, count, loop)

  walk(module.entry, 1, '')
  return list(found.values())


def _payload(computation: list[Op], op: Op) -> float:
  """The results of -start ops are tuples with the operands."""
  operands = sum(a.bytes for other in computation if other.name in op.operands for a in arrays(other.shape))
  result = sum(a.bytes for a in arrays(op.shape))
  return max(operands, result - operands if op.kind.endswith('-start') and op.kind != 'all-reduce-start' else result)


def by_kind(found: list[Collective]) -> dict[str, dict]:
  """{kind: {bytes, received_bytes, count, overlapped_bytes}} of a program."""
  total = collections.defaultdict(lambda: {'bytes': 0.0, 'received_bytes': 0.0, 'count': 0, 'overlapped_bytes': 0.0})
  for one in found:
    entry = total[one.kind]
    entry['bytes'] += one.bytes * one.count
    entry['received_bytes'] += one.received * one.count
    entry['count'] += one.count
    entry['overlapped_bytes'] += one.bytes * one.count * one.overlapped
  return dict(total)


def carried(module: Module) -> float:
  """Bytes of HBM that the largest loop hands from one round to the next and that are not the program's arguments.

  In a training step that is the loop over layers: the gradients and what the forward pass saved for the backward pass.
  """
  arguments = collections.Counter(
    a[:2] for op in module.computations[module.entry] if op.kind == 'parameter' for a in arrays(op.shape)
  )
  most = 0.0
  for ops in module.computations.values():
    for op in ops:
      if op.kind == 'while':
        left, size = arguments.copy(), 0.0
        for array in arrays(op.shape):
          if left[array[:2]] > 0:
            left[array[:2]] -= 1
          elif array.space in IN_HBM:
            size += array.bytes
        most = max(most, size)
  return most


def bookkeeping(module: Module) -> dict[str, int]:
  """{loop: 0} of loops without a known bound that hold no matrix product and no kernel: what a decode loop does now and
  then, such as filling a slot."""
  loops = (
    op for ops in module.computations.values() for op in ops if op.kind == 'while' and trip_count(module, op) is None
  )
  return {op.name: 0 for op in loops if not _works(module, body(op))}


def _works(module: Module, computation: str) -> bool:
  return any(
    op.kind in ('convolution', 'dot')
    or 'tpu_custom_call' in op.attributes
    or any(
      _works(module, name)
      for name in _called(op) + ([body(op)] if op.kind == 'while' else [])
      if name in module.computations
    )
    for op in module.computations[computation]
  )
