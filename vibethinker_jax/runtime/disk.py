"""Files that are written whole or not at all, and the one line that is said where a disk takes no more.

Whatever writes stands in `writing`, `replacing` or `append`: a full, read-only or forbidden disk is then an
`Unwritable` that says which directory, what was being written, and why. A command adds what is kept and what to do
(`told`).
"""

from collections.abc import Callable, Iterator
import contextlib
import errno
import getpass
import logging
import os
import pathlib
import shutil
import tempfile
import threading

from vibethinker_jax.runtime import storage

FULL = {
  errno.ENOSPC: 'no space left',
  errno.EDQUOT: 'the disk quota is used up',
  errno.EFBIG: 'the limit of the size of a file is reached',
}
CLOSED = {
  errno.EROFS: 'the disk is read-only',
  errno.EACCES: 'permission denied',
  errno.EPERM: 'permission denied',
  errno.ENOTDIR: 'a file stands where a directory is needed',
  errno.EISDIR: 'a directory stands where a file is needed',
  errno.EEXIST: 'a file stands where a directory is needed',
}
PROBE = 4096  # bytes: a block of most file systems


class Unwritable(OSError):
  """Something cannot be written.

  Attributes:
    number: errno, 0 if the library that wrote does not say. why: it in words. what: was being written.
    path: where. size: its bytes, 0 if they are not known.
  """

  def __init__(self, path: pathlib.Path, what: str, number: int, why: str, size: int = 0):
    self.path, self.what, self.number, self.why, self.size = pathlib.Path(path), what, number, why, size
    room = ', '.join(self._room()) if number in FULL else ''
    room = room and f' ({room})'
    super().__init__(f'{path}: {why}{room} while writing {what}')

  def __reduce__(self):  # it comes from other processes, too
    return type(self), (self.path, self.what, self.number, self.why, self.size)

  def _room(self) -> Iterator[str]:
    if self.size:
      yield f'{readable(self.size)} needed'
    if self.number == errno.ENOSPC:
      there = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
      yield f'{readable(shutil.disk_usage(there).free)} free'


def cache(*names: str) -> pathlib.Path:
  """A directory of the user's cache: $XDG_CACHE_HOME/vibethinker_jax (~/.cache/vibethinker_jax), and `names` in it."""
  base = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
  return pathlib.Path(base).joinpath('vibethinker_jax', *names)


def readable(size: int) -> str:
  """Bytes for people: 3.4 MB."""
  value, unit = float(size), 'bytes'
  for unit in ('bytes', 'kB', 'MB', 'GB', 'TB'):
    if value < 1000 or unit == 'TB':
      break
    value /= 1000
  return f'{value:.0f} {unit}' if unit == 'bytes' else f'{value:.1f} {unit}'


def reason(error: BaseException | None, depth: int = 0) -> tuple[int, str] | None:
  """(errno, in words) where an error, or one that it comes from, says that a disk cannot be written; else None.

  Libraries say it in their own classes with the system's words in the text: TensorStore, Arrow, safetensors, XLA.
  """
  if error is None or depth > 20:
    return None
  known = FULL | CLOSED
  if isinstance(error, Unwritable):
    return error.number, error.why
  if isinstance(error, OSError) and error.errno in known:
    return error.errno, known[error.errno]
  text = str(error)
  for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
    if os.strerror(number) in text:
      return number, known[number]
  if 'PERMISSION_DENIED' in text or f'os error {errno.EACCES})' in text:  # our own words about a file to read say less
    return errno.EACCES, known[errno.EACCES]
  for inner in (error.__cause__, error.__context__, *getattr(error, 'exceptions', ())):
    if found := reason(inner, depth + 1):
      return found
  return None


@contextlib.contextmanager
def writing(what: str, path: pathlib.Path | str, size: int = 0):
  """Around what writes `what` at `path` (its directory, or itself where that is one).

  Raises:
    Unwritable: the disk is full, closed or broken. Every other error passes.
  """
  try:
    yield
  except Unwritable:
    raise
  except Exception as error:  # pylint: disable=broad-except
    found = reason(error)
    if not found and isinstance(error, OSError):
      found = 0, (error.strerror or str(error))
    if not found:
      raise
    path = pathlib.Path(path)
    raise Unwritable(path if path.is_dir() else path.parent, what, *found, size) from error


@contextlib.contextmanager
def replacing(path: pathlib.Path | str, what: str):
  """Gives a temporary path beside `path`, which becomes `path` when the block ends well and is removed when it does
  not."""
  path = pathlib.Path(path)
  temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')  # others may write the same file
  try:
    with writing(what, path):
      path.parent.mkdir(parents=True, exist_ok=True)
      yield temporary
      temporary.replace(path)
  except BaseException:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    raise
  storage.written(path)


def append(file, content: bytes, what: str) -> None:
  """Appends to a file that was opened with `open_lines`: all of it or nothing, and on its way to the disk at once."""
  with writing(what, file.name):
    end = file.seek(0, os.SEEK_END)
    try:
      rest = memoryview(content)
      while rest:
        rest = rest[file.write(rest) :]
    except OSError:
      with contextlib.suppress(OSError):
        file.truncate(end)
      raise
  storage.grown()


def open_lines(path: pathlib.Path, what: str, keep: Callable[[bytes], bool] = lambda line: True):
  """Opens a file of lines for `append`. Without half a line at its end, nor lines that `keep` does not want."""
  with writing(what, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.endswith(b'\n') and keep(line)]
    if len(kept) < len(lines):
      with replacing(path, what) as temporary:
        temporary.write_bytes(b''.join(kept))
    return path.open('ab', buffering=0)


def check(directory: pathlib.Path) -> None:
  """Creates a directory where it is not there, and tries to write in it: to be called before anything is computed.

  Raises:
    Unwritable: it cannot be created or written.
  """
  with writing('a first block', directory):
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
      if file.write(bytes(PROBE)) < PROBE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def locked(path: pathlib.Path | str):
  """One process of those that share this file is inside at a time; the others wait. Where no locks are kept, all
  are."""
  import filelock  # takes part in downloads alone

  path = pathlib.Path(path)
  with writing('a lock', path):
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
      lock.acquire(poll_interval=0.2)
    except NotImplementedError:  # some network disks: work may then be done twice
      lock = None
  try:
    yield
  finally:
    if lock:
      lock.release()


def told(error: BaseException, flag: str, kept: str = '') -> str | None:
  """The whole line about an error of a disk: where, what, why, what is kept, what to do; None for any other error.

  Args:
    flag: that names the directory, such as '--workdir'. kept: what is safe in it.
  """
  if not isinstance(error, Unwritable):
    if not isinstance(error, OSError) or error.errno not in (*FULL, errno.EROFS):
      return None  # it may be of a file that is read
    file = error.filename if isinstance(error.filename, (str, os.PathLike)) else None
    error = Unwritable(
      pathlib.Path(file).parent if file else 'standard output or a temporary file', file or 'there', *reason(error)
    )
  _seen.set()
  again = 'start the same command again: it goes on' if kept else 'start the same command again'
  if error.number in FULL:
    need = f'at least {readable(error.size)}' if error.size else 'some'
    advice = (
      f'Free {need} there and {again}' if error.number == errno.ENOSPC else f'Raise it, or free space, and {again}'
    )
  else:
    advice = f'Make it writable for {_user()} and {again}, or give another {flag}'
  return f'{error}. {f"Kept: {kept}. " if kept else ""}{advice}'


def _user() -> str:
  try:
    return getpass.getuser()
  except (KeyError, OSError):
    return 'this user'


_seen = threading.Event()


class Silence(logging.Filter):
  """Drops a library's tracebacks of a disk that cannot be written, and of what its threads meet after that: the command
  says it in one line."""

  def filter(self, record: logging.LogRecord) -> bool:
    if record.exc_info and reason(record.exc_info[1]):
      _seen.set()
    return not (record.exc_info and _seen.is_set())
