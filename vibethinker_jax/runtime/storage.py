"""A workdir or an output in a bucket, gs://bucket/run; nothing here is done for a local one.

Checkpoints go there straight from the devices (Orbax, TensorStore). Everything else is small, and is written into a
local directory that mirrors the bucket. An object is written whole or not at all: a file that is written whole is put
up at once, after all that came before it; one that grows is put up at every checkpoint, once a minute, and at the end.
A start, also elsewhere, reads all back. Whoever started last owns a bucket's directory; an earlier process stops before
it would write.
"""

from collections.abc import Iterator
import contextlib
import json
import logging
import os
import pathlib
import re
import shutil
import socket
import tempfile
import threading
import time

GS = 'gs://'
EVERY = 60.0  # seconds between two uploads of files that grow, and of one file that is written anew again and again
SHARE = 0.1  # of the time is spent on these at most
CONNECT, SILENT = 10, 60  # seconds to a connection, and between two pieces of an answer
OWNER = 'owner.json'
STRAIGHT = ('checkpoints', 'compiled')  # directories that Orbax and JAX write in the bucket themselves
LOG = logging.getLogger('vibethinker_jax')

# gcsfs would ask each bucket for its kind, by another protocol and with rights that a reader need not have.
os.environ.setdefault('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')


class Lost(OSError):
  """Another process has started in this workdir."""


def checked(text: str, flag: str) -> str:
  """A directory to write, as it was given.

  Raises:
    ValueError: a scheme that nothing here can write, a bucket without a name, or no gcsfs.
  """
  scheme = _scheme(text)
  if not scheme:
    return text
  if scheme in ('gs', 'gcs') and not text.startswith(GS):
    raise ValueError(f'{flag}={text}: a bucket of Cloud Storage is written gs://BUCKET/DIRECTORY')
  if scheme != 'gs':
    raise ValueError(
      f'{flag}={text}: {scheme}:// cannot be written; give a local directory (a bucket may be mounted '
      'there, or the results copied to it afterwards) or gs://BUCKET/DIRECTORY'
    )
  if not re.fullmatch(r'gs://[^/\s]+/+[^/\s].*', text):
    raise ValueError(f'{flag}={text}: a bucket needs a name and a directory in it: gs://BUCKET/DIRECTORY')
  files()
  return text.rstrip('/')


def local(text: str, flag: str) -> str:
  """Where only a local path can be written: that path.

  Raises:
    ValueError: it is none.
  """
  if _scheme(text):
    raise ValueError(
      f'{flag}={text}: this is written on a local disk only; give a path of this machine, and copy it afterwards'
    )
  return text


def _scheme(text: str) -> str:
  """What a URL begins with, in small letters, also where slashes of it were forgotten; '' of a path."""
  found = re.match(r'([A-Za-z][\w+.-]*):/|(gs|gcs|s3):', text, re.IGNORECASE)
  return (found[1] or found[2]).lower() if found else ''


def files():
  """fsspec's file system of Cloud Storage, the one that etils.epath and so Orbax use.

  Raises:
    ValueError: gcsfs is not installed.
  """
  try:
    import aiohttp
    import fsspec
    import gcsfs  # noqa: F401
  except ImportError:
    raise ValueError("gs:// needs gcsfs: pip install 'vibethinker_jax[gcs]'") from None
  for library in ('gcsfs', 'fsspec'):  # what they raise is said in one line
    logging.getLogger(library).setLevel(logging.CRITICAL)
  # TensorStore and other hosts write there too: what a listing said a moment ago is not known to hold.
  settings = fsspec.config.conf.setdefault('gcs', {})
  settings['use_listings_cache'] = False
  # gcsfs sets no limit: a server that says nothing would be waited for without end.
  settings['requests_timeout'] = aiohttp.ClientTimeout(sock_connect=CONNECT, sock_read=SILENT)
  return fsspec.filesystem('gcs', finalize_on_close=True)


def path(text: str | os.PathLike):
  """A path that may be in a bucket: etils.epath.Path of a gs:// one, else pathlib.Path.

  Raises:
    ValueError: gcsfs is not installed, or it is a URL of another kind.
  """
  if not remote(text):
    if scheme := _scheme(os.fspath(text)):
      raise ValueError(
        f'{os.fspath(text)}: a bucket is written {GS}BUCKET/PATH'
        if scheme == 'gs'
        else f'{os.fspath(text)}: models and results are read from this machine and from gs://BUCKET/PATH, not from '
        f'{scheme}: copy it there'
      )
    return pathlib.Path(text)
  files()
  from etils import epath

  return epath.Path(os.fspath(text))


def exists(text: str | os.PathLike) -> bool:
  """Whether there is such a file or directory.

  Raises:
    ValueError: see `path`.
    OSError: the bucket does not answer.
  """
  with said('reading', text):
    return path(text).exists()


def far(local: str | os.PathLike):
  """Where that is which Orbax writes: in the bucket, for a path in its local copy; else `path`."""
  if _mirror and pathlib.Path(local).is_relative_to(_mirror.local):
    return path(f'{_mirror.url}/{pathlib.Path(local).relative_to(_mirror.local).as_posix()}')
  return path(local)


def remote(path) -> bool:
  return os.fspath(path).startswith(GS)


def named(text: str) -> str:
  """A text for people: with the bucket where it names the local copy."""
  return text.replace(str(_mirror.local), _mirror.url) if _mirror else text


@contextlib.contextmanager
def staged(text: str, flag: str, owner: bool = True) -> Iterator[pathlib.Path]:
  """Gives the directory to write in: `text` itself, or for gs:// a local copy of what is there.

  Args:
    owner: whether this is the process that writes; others of the same run only add files of their own.

  Raises:
    ValueError: see `checked`.
    OSError: the bucket cannot be read or written.
  """
  global _mirror
  if not remote(checked(text, flag)):
    yield pathlib.Path(text)
    return
  with tempfile.TemporaryDirectory(prefix='vibethinker_') as folder:
    url = checked(text, flag)
    _mirror = Mirror(url, pathlib.Path(folder) / url.rsplit('/', 1)[1], owner)
    try:
      _mirror.begin()
      try:
        yield _mirror.local
      finally:
        _mirror.end()
    finally:
      _mirror = None


def put() -> None:
  """Puts up what has changed in the local copy; does nothing without one."""
  if _mirror:
    _mirror.put()


def written(path: pathlib.Path) -> None:
  """To be called when a file was written whole."""
  if _mirror and _mirror.due(path):
    _mirror.put(last=path)


def grown() -> None:
  """To be called when a file has grown: puts it up if that is due. A bucket that does not answer is waited for."""
  if _mirror and time.monotonic() > _mirror.next:
    try:
      _mirror.put()
    except Lost:
      raise
    except OSError as error:
      LOG.warning('%s; it is tried again', error)


def here(path: pathlib.Path) -> pathlib.Path:
  """The path, with what host 0 wrote there on every host."""
  if _mirror:
    _mirror.fetch(path)
  return path


def remove(path: pathlib.Path) -> None:
  """Removes a file, or a directory with all in it, where there is one; of a bucket also what was written straight
  there."""
  if path.is_dir():
    shutil.rmtree(path, ignore_errors=True)
  else:
    path.unlink(missing_ok=True)
  if _mirror and path.is_relative_to(_mirror.local):
    _mirror.forget(path)


class Mirror:
  """A local directory and the bucket's: `url`, `local`, and when the next upload of what grows is due (`next`)."""

  def __init__(self, url: str, local: pathlib.Path, owner: bool):
    self.url, self.local, self._owner = url, local, owner
    self._files, self._lock = files(), threading.RLock()
    self._known = {}  # name -> (mtime in ns, size) of what the bucket has
    self._times = {}  # name -> time.monotonic() of its upload
    self._token = (
      f'{socket.gethostname()}, process {os.getpid()}, {time.strftime("%Y-%m-%d %H:%M:%S")}, {os.urandom(4).hex()}'
    )
    self.next = time.monotonic() + EVERY

  def begin(self) -> None:
    """Takes possession, and reads what is there."""
    self.local.mkdir()
    with self._said('reading'):
      for name, size in self._listed():
        self._get(name, size)
    if self._owner:
      with self._said('writing'):
        self._files.pipe_file(f'{self.url}/{OWNER}', json.dumps(self._token).encode())

  def end(self) -> None:
    """Puts up the rest, and lets go."""
    self.put()
    if self._owner:
      with self._said('writing'), contextlib.suppress(FileNotFoundError):
        self._check_owner()
        self._files.rm_file(f'{self.url}/{OWNER}')

  def due(self, path: pathlib.Path) -> bool:
    """Whether a file is to be put up now: one object takes an update a second, and a file may be written more often."""
    if not path.is_relative_to(self.local):
      return False
    return time.monotonic() - self._times.get(self._name(path), -EVERY) >= EVERY

  def put(self, last: pathlib.Path | None = None) -> None:
    """Puts up every file that is not as the bucket has it, `last` after all others, and removes there what is gone
    here.

    Raises:
      Lost: another process owns the workdir.
      OSError: the bucket did not take it.
    """
    started = time.monotonic()
    with self._lock, self._said('writing'):
      there = {
        self._name(path): path for path in self.local.rglob('*') if path.is_file() and _mirrored(self._name(path))
      }
      states = {
        name: state for name, path in there.items() if (state := _state(path)) and state != self._known.get(name)
      }
      if states or self._known.keys() - there.keys():
        self._check_owner()
      for name in sorted(states, key=lambda name: (there[name] == last, name)):
        self._files.put_file(str(there[name]), f'{self.url}/{name}')
        self._known[name], self._times[name] = states[name], time.monotonic()
      for name in self._known.keys() - there.keys():
        self._delete(name)
      self.next = time.monotonic() + max(EVERY, (time.monotonic() - started) / SHARE)

  def fetch(self, path: pathlib.Path) -> None:
    """Reads one file again, on all hosts but that which writes."""
    name = self._name(path) if path.is_relative_to(self.local) else ''
    if name and not self._owner:
      with self._lock, self._said('reading'), contextlib.suppress(FileNotFoundError):
        self._get(name, self._files.info(f'{self.url}/{name}')['size'])

  def forget(self, path: pathlib.Path) -> None:
    """Removes in the bucket what was removed here."""
    with self._lock, self._said('writing'):
      prefix = f'{self.url}/{self._name(path)}'.removesuffix('/.')
      gone = [
        name for name in self._known if f'{self.url}/{name}' == prefix or f'{self.url}/{name}'.startswith(prefix + '/')
      ]
      straight = self._files.find(prefix + '/')
      if gone or straight:
        self._check_owner()
      for name in gone:
        self._delete(name)
      left = [name for name in straight if self._files.exists(name)]
      if left:
        self._files.rm(left)

  def _listed(self) -> list[tuple[str, int]]:
    """(name, size) of the files of the bucket's directory that are mirrored."""
    start = self.url.removeprefix(GS) + '/'
    found = self._files.find(self.url, detail=True)
    names = ((full.removeprefix(start), info['size']) for full, info in found.items() if full.startswith(start))
    return [(name, size) for name, size in names if _mirrored(name)]

  def _get(self, name: str, size: int) -> None:
    path = self.local / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in (2, 1, 0):
      self._files.get_file(f'{self.url}/{name}', str(path))
      if path.stat().st_size == size or self._files.info(f'{self.url}/{name}')['size'] == path.stat().st_size:
        break
      if not left:
        raise OSError(f'{name} comes cut short')
    self._known[name] = _state(path)

  def _delete(self, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
      self._files.rm_file(f'{self.url}/{name}')
    self._known.pop(name, None)

  def _check_owner(self) -> None:
    if not self._owner:
      return
    try:
      owner = json.loads(self._files.cat_file(f'{self.url}/{OWNER}'))
    except FileNotFoundError:
      owner = 'a process that has ended'
    if owner != self._token:
      raise Lost(
        f'{self.url}: another process has started in it ({owner.rpartition(", ")[0] or owner}), and this one '
        'stops: only one may write it at a time'
      )

  def _name(self, path: pathlib.Path) -> str:
    return path.relative_to(self.local).as_posix()

  def _said(self, what: str):
    return said(what, self.url)


_mirror: Mirror | None = None


@contextlib.contextmanager
def said(what: str, path):
  """Around what reads or writes in a bucket; turns what gcsfs, aiohttp, google.auth, Orbax and TensorStore raise into
  an OSError that says where, why and what to look at. Does nothing for a local path."""
  try:
    yield
  except (Lost, ValueError):
    raise
  except Exception as error:  # pylint: disable=broad-except
    if not remote(path):
      raise
    if isinstance(error, FileNotFoundError):
      raise OSError(
        f'{path}: {what} failed: there is no such bucket, or this account may not see it. Look for a slip in its name, '
        'or create it: gcloud storage buckets create gs://NAME'
      ) from error
    why = ' '.join(str(error).split()) or type(error).__name__
    raise OSError(
      f'{path}: {what} failed: {why[:300]}. The same command goes on when the bucket answers; the machine needs '
      'the role storage.objectUser on it (gcloud auth application-default login, or a service account)'
    ) from error


def _mirrored(name: str) -> bool:
  return not set(name.split('/')[:-1]) & set(STRAIGHT) and name != OWNER and not name.endswith('.tmp')


def _state(path: pathlib.Path) -> tuple[int, int] | None:
  """What changes with a file's contents; None if it has just gone."""
  try:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
  except FileNotFoundError:
    return None
