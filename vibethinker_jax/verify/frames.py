"""Length-prefixed JSON between the verifiers' processes. No pickle: what is read is never executed."""

from __future__ import annotations

import json
import os
import struct
import sys

# Tests may hold longer integers than the 4 300 digits that Python reads and writes by default. They are a data set's;
# what a program gives is measured first (outcome.parse_value).
sys.set_int_max_str_digits(0)
IN_WORKER = 'VIBETHINKER_VERIFY_WORKER'  # in the environment of a pool's worker: its number
MAX_FRAME = 1 << 28  # 256 MiB: the tests of a problem may be large, a broken length must not allocate 4 GiB


def pack(value) -> bytes:
  """JSON-compatible value -> frame of 4 bytes length (big endian) and ASCII JSON. Raises TypeError for other
  values."""
  body = json.dumps(value).encode('ascii')
  if len(body) > MAX_FRAME:
    raise ValueError(f'a frame of {len(body)} bytes is over the {MAX_FRAME} allowed: use a smaller problem')
  return struct.pack('>I', len(body)) + body


def write_all(fd: int, data: bytes) -> None:
  """Writes all of data to a blocking descriptor. Raises OSError (BrokenPipeError when the reader is gone)."""
  view = memoryview(data)
  while view:
    view = view[os.write(fd, view) :]


def read_exact(fd: int, size: int) -> bytes:
  """Reads exactly size bytes. Raises EOFError when the writer is gone before."""
  parts = []
  while size:
    part = os.read(fd, min(size, 1 << 20))
    if not part:
      raise EOFError('the other process closed its pipe')
    parts.append(part)
    size -= len(part)
  return b''.join(parts)


def read(fd: int):
  """The next frame's value. Raises EOFError at the end of the pipe, ValueError for a broken frame."""
  (size,) = struct.unpack('>I', read_exact(fd, 4))
  if size > MAX_FRAME:
    raise ValueError(f'frame length {size} is over {MAX_FRAME}')
  return json.loads(read_exact(fd, size))
