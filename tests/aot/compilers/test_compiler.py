"""What makes two programs the same to the cache."""

import jax
import pytest

from vibethinker_jax.aot.compilers import compiler


def key(topology='v5e:2x2', options=None, **jitted_with):
  lowered = jax.jit(lambda x: x + 1, **jitted_with).lower(1.0)
  return compiler._key(lowered, topology, options or {})


def test_the_key_holds_everything_that_decides_the_result():
  pytest.importorskip('libtpu', reason='the TPU compiler is not installed: pip install -e .[plan]')
  assert key() == key()
  others = [key('v5e:4x4'), key(options={'a': '1'}), key(compiler_options={'a': '1'}), key(compiler_options={'a': '2'})]
  assert len({key(), *others}) == 5
