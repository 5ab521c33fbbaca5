"""What a command does before JAX is imported: quiet logs, the platform, huge pages on CPU."""

from collections.abc import Callable
import contextlib
import logging
import math
import os
import pathlib
import sys
import time
import types
import warnings

from absl import flags

from vibethinker_jax.runtime import disk, storage

_NoBars = types.SimpleNamespace(_instances=())
HUGE_PAGES = 'glibc.malloc.hugetlb=1'


def prepare() -> None:
  """Call first thing in a command, before any import of JAX.

  On Linux without an accelerator the process starts itself again with huge pages for malloc: JAX's large outputs are
  fresh mappings, and page faults cost 10 to 35% of a training step (measured on 2 cores). An existing GLIBC_TUNABLES is
  left alone.
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  if not _accelerator():
    # libtpu may be installed without a TPU (ahead-of-time compilation): JAX would search for one, loudly.
    os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  if (
    sys.platform == 'linux'
    and 'cpu' == os.environ.get('JAX_PLATFORMS')
    and 'GLIBC_TUNABLES' not in os.environ
    and os.confstr('CS_GNU_LIBC_VERSION')
  ):
    os.environ['GLIBC_TUNABLES'] = HUGE_PAGES
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def finite(*names: str) -> None:
  """Refuses NaN and infinity as values of these flags: absl's bounds let NaN pass."""
  for name in names:
    flags.register_validator(name, lambda value: value is None or math.isfinite(value), 'must be a finite number')


def leave_it_to_first() -> None:
  """Ends this process if it is not the first of several: the work of the command is one host's."""
  if int(os.environ.get('JAX_PROCESS_ID') or 0) > 0:
    raise SystemExit(0)


@contextlib.contextmanager
def one_line(*kinds: type[Exception], flag: str, kept: Callable[[], str] = lambda: ''):
  """Around the work of a command: errors of these kinds, and all of the operating system, end it with one line.

  Args:
    flag: that names what is written. kept: says what is safe there, if it cannot be written.
  """
  try:
    yield
    sys.stdout.flush()
  except BrokenPipeError:
    _forget_output()
    raise SystemExit(141) from None  # as every program whose reader is gone
  except (OSError, *kinds) as error:
    line = disk.told(error, flag, kept() if isinstance(error, OSError) else '') or error
    for bar in list(getattr(sys.modules.get('tqdm'), 'tqdm', _NoBars)._instances):
      bar.close()  # else it would be drawn once more, below the error
    if isinstance(error, OSError) and error.filename is None:
      _forget_output()
    raise SystemExit(storage.named(f'error: {line}')) from (error if os.environ.get('VIBETHINKER_TRACEBACK') else None)


def _forget_output() -> None:
  """What standard output could not take would be tried again at the end of the process, with another traceback."""
  try:
    sys.stdout.flush()
  except OSError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def keep_compiled(where: str = 'auto', workdir: str = '') -> None:
  """Keeps compiled programs on disk, so that a second start compiles nothing. JAX_COMPILATION_CACHE_DIR goes before.

  Args:
    where: a directory; 'auto': `workdir`/compiled, without a workdir the user's cache; '': nothing is kept.
    workdir: a directory that all hosts see, gs:// too.

  A directory that cannot be written, or becomes full, costs time at the next start: a warning says so once.
  """
  import jax  # not at the top: this module is imported before prepare() has set up the environment

  given = os.environ.get('JAX_COMPILATION_CACHE_DIR')
  where = given or where
  if not where:
    return
  if where == 'auto':
    where = f'{workdir or disk.cache()}/compiled'
  if '://' not in str(where):
    _watch_cache(pathlib.Path(where))
  if storage.remote(where):
    storage.files()
  if not given and ('://' in str(where) or pathlib.Path(where).is_dir()):
    jax.config.update('jax_compilation_cache_dir', str(where))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


def _watch_cache(directory: pathlib.Path) -> None:
  """Says once that compiled programs are not kept, and removes what is half-written: JAX would never replace it."""
  said, before = [], warnings.showwarning

  def say(why: str) -> None:
    if not said:
      logging.getLogger('vibethinker_jax').warning('%s; the run goes on, its next start compiles again', why)
    said.append(why)

  def show(message, *rest, **named):
    if ' persistent compilation cache entry for ' not in str(message):
      before(message, *rest, **named)
      return
    if 'Error writing' in str(message):
      with contextlib.suppress(OSError):
        for file in directory.glob('*-cache'):
          if time.time() - file.stat().st_mtime < 10:
            file.unlink()
    try:
      with disk.writing('compiled programs', directory):
        raise OSError(str(message))
    except disk.Unwritable as error:
      say(str(error) if error.number else f'{directory}: {message}')

  warnings.showwarning = show
  try:
    disk.check(directory)
  except disk.Unwritable as error:
    say(f'{error} of compiled programs')


def plain_logs() -> None:
  """Our own log lines as plain text on stderr; of the libraries only warnings. Call after absl has set up its own."""
  for library in ('absl', 'orbax', 'jax', 'tensorboardX', 'httpx', 'httpx2'):
    logging.getLogger(library).setLevel(logging.WARNING)
  for library in ('absl', 'orbax', 'asyncio'):
    logging.getLogger(library).addFilter(disk.Silence())
  ours = logging.getLogger('vibethinker_jax')
  ours.setLevel(logging.INFO)
  ours.propagate = False
  ours.handlers = [logging.StreamHandler(sys.stderr)]


def _accelerator() -> bool:
  """Whether this machine has a device node of an NVIDIA GPU, an AMD GPU or a TPU."""
  nodes = ('/dev/nvidia0', '/dev/nvidiactl', '/dev/kfd', '/dev/accel0', '/dev/vfio/0', '/dev/vfio/devices')
  return any(os.path.exists(node) for node in nodes) or 'TPU_NAME' in os.environ or sys.platform == 'darwin'
