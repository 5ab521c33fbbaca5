"""What reading a very large file once has told, kept between runs: where its rows begin, how many examples each has.

Kept in $XDG_CACHE_HOME/vibethinker_jax/index (~/.cache), under a name of the files' paths, sizes and times, of the
options and of this package's own reading code: whatever changes one of them reads the files again.
"""

from collections.abc import Callable
import functools
import hashlib
import json
import os
import pathlib
import tempfile
import zipfile

import numpy as np

from vibethinker_jax.runtime import disk

LARGE = 64 << 20  # bytes of files; what is smaller is read again in a second
SUFFIX = '.index.npz'


def kept(paths: list[str], what: str, make: Callable[[], dict]) -> dict[str, np.ndarray]:
  """The arrays that `make` gives, from the last time if nothing has changed since.

  Args:
    paths: files that they are made from. what: everything else that they depend on.

  Raises:
    whatever `make` raises. A directory that cannot be written, or a damaged file in it, costs only time.
  """
  if sum(map(os.path.getsize, paths)) < LARGE:
    return {name: np.asarray(value) for name, value in make().items()}
  place = _directory() / (_key(paths, what) + SUFFIX)
  try:
    with np.load(place, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
    pass
  found = {name: np.asarray(value) for name, value in make().items()}
  try:
    _write(place, found)
  except OSError:
    pass
  return found


def _write(place: pathlib.Path, arrays: dict) -> None:
  place.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.NamedTemporaryFile(dir=place.parent, suffix='.part', delete=False) as file:
    try:
      np.savez(file, **arrays)
      file.close()
      os.replace(file.name, place)  # whole or not at all; several processes may write the same
    except BaseException:
      os.unlink(file.name)
      raise


def _directory() -> pathlib.Path:
  return disk.cache('index')


def _key(paths: list[str], what: str) -> str:
  states = [(os.path.realpath(path), os.stat(path)) for path in paths]
  said = [what, _code(), [(path, state.st_size, state.st_mtime_ns, state.st_ino) for path, state in states]]
  return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


@functools.cache
def _code() -> str:
  every = hashlib.sha256()
  for path in sorted(pathlib.Path(__file__).parents[1].rglob('*.py')):
    every.update(path.read_bytes())
  return every.hexdigest()
