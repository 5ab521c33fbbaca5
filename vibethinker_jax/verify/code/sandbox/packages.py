"""The packages that programs may import besides the standard library: named by the host, loaded by a helper.

Standard library alone: the sandbox's helper loads it without site-packages.
"""

import importlib
import importlib.util
import os
import pkgutil
import sys
import warnings

DEFAULT = ('numpy', 'sortedcontainers')  # where they are installed; others must be
VARIABLE = 'VIBETHINKER_SANDBOX_PACKAGES'  # names with commas, '' for none; the pool sets it for its workers
# Parts that no program needs: tests, build tools (numpy.f2py), deprecated names that warn (numpy.core)
SKIP = ('tests', 'conftest', 'f2py', 'distutils', 'core', 'setup', '__main__', 'mypy_plugin', 'cversions', 'testutils')
ONE_THREAD = ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'BLIS_NUM_THREADS')


def chosen():
  """The names of the environment variable, else DEFAULT."""
  text = os.environ.get(VARIABLE)
  return DEFAULT if text is None else tuple(name for name in text.split(',') if name)


def installed(names):
  """Those of the names that are installed here.

  Raises ValueError for one that is neither installed nor in DEFAULT, or is no top-level module's name.
  """
  found = []
  for name in names:
    if not isinstance(name, str) or not name.isidentifier():
      raise ValueError(f'config.sandbox.packages (or {VARIABLE}): {name!r} is no name of a package to import')
    if importlib.util.find_spec(name) is not None:
      found.append(name)
    elif name not in DEFAULT:
      raise ValueError(
        f'config.sandbox.packages (or {VARIABLE}): {name!r} is not installed here (pip install it, or leave it out)'
      )
  return tuple(found)


def load(names, path):
  """Imports packages with all their parts, since no file can be opened later; 0.5 s for numpy.

  Args:
    names: see installed. path: folders they may be in, for this call alone.
  Returns:
    {name: its version, or the error}.
  """
  before, found = list(sys.path), {}
  sys.path += [folder for folder in path if folder not in before]
  os.environ.update(
    dict.fromkeys(ONE_THREAD, '1')
  )  # a helper that forks has one thread; and programs are charged for each
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')
      for name in names:
        try:
          package = importlib.import_module(name)
          _load_parts(package)
          found[name] = str(getattr(package, '__version__', ''))
        except Exception as e:  # whatever its own code raises. pylint: disable=broad-except
          found[name] = f'failed: {e!r}'
  finally:
    sys.path[:] = before
    for name in ONE_THREAD:
      os.environ.pop(name, None)
  return found


def _load_parts(package):
  for part in pkgutil.iter_modules(getattr(package, '__path__', ()), package.__name__ + '.'):
    last = part.name.rpartition('.')[2]
    if last in SKIP or last.endswith('_tests'):
      continue
    try:
      module = importlib.import_module(part.name)
    except Exception:  # an optional part that lacks something. pylint: disable=broad-except
      continue
    if part.ispkg:
      _load_parts(module)


def address_space():
  """Bytes of address space that this process has, 0 where /proc does not say."""
  try:
    with open('/proc/self/statm', encoding='ascii') as f:
      return int(f.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
  except OSError:
    return 0
