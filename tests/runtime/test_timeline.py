"""Phases of wall time, compilation among them, and traces of steps."""

import json
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest

from vibethinker_jax.runtime import startup, timeline


@pytest.fixture(autouse=True)
def fresh():
  timeline.take()


def test_phases_partition_the_time():
  start = time.monotonic()
  with timeline.phase('rollout'):
    time.sleep(0.05)
    with timeline.phase('verify'):
      time.sleep(0.1)
    time.sleep(0.05)
  time.sleep(0.02)
  seconds, whole = timeline.take(), time.monotonic() - start
  assert sum(seconds.values()) == pytest.approx(whole, abs=0.01)
  assert 0.1 <= seconds['rollout'] < 0.2 and 0.1 <= seconds['verify'] < 0.2 and 0.02 <= seconds['idle'] < 0.1
  assert seconds['train'] == 0 and timeline.goodput(seconds) == pytest.approx(seconds['rollout'] / whole, rel=0.2)
  assert sum(timeline.take().values()) < 0.1  # since the last call


def test_compilation_counts_as_such_wherever_it_happens():
  with timeline.phase('train'):
    jax.jit(lambda x: jnp.linalg.qr(x * 3)[0] @ x)(jnp.ones((7, 7))).block_until_ready()
    assert not timeline.compiling()
    time.sleep(0.05)
  seconds = timeline.take()
  assert seconds['compile'] > 0.02 and seconds['train'] >= 0.05


def test_an_exception_leaves_its_phases():
  with pytest.raises(TypeError), timeline.phase('train'):
    jax.jit(lambda x: x + 'text')(1.0)
  timeline.take()
  time.sleep(0.02)
  assert timeline.take()['idle'] >= 0.02


def test_a_phase_may_be_named_at_its_end():
  with timeline.phase('idle') as loading:
    time.sleep(0.03)
    loading.name = 'train'
  assert timeline.take()['train'] >= 0.03


def test_records_are_appended(tmp_path):
  for what in ('start', 3, 'end'):
    seconds = timeline.record(tmp_path / 'sft', what)
  lines = [json.loads(line) for line in (tmp_path / 'sft' / 'timeline.jsonl').read_text().splitlines()]
  assert [line['what'] for line in lines] == ['start', 3, 'end'] and lines[-1]['seconds'] == seconds
  assert set(seconds) == set(timeline.PHASES)


def test_traces_of_the_steps_that_were_asked_for(tmp_path, monkeypatch):
  started = []
  monkeypatch.setattr(jax.profiler, 'start_trace', lambda *_, **__: started.append('start'))
  monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: started.append('stop'))
  profile = timeline.Profile(tmp_path, (2, 3))
  for step in range(1, 6):
    started.append(step)
    profile.before(step)
  profile.stop()
  assert started == [1, 2, 'start', 3, 4, 'stop', 5]
  cut_short = timeline.Profile(tmp_path, (1, 9))
  cut_short.before(1)
  cut_short.stop()
  assert started[-2:] == ['start', 'stop']
  timeline.Profile(tmp_path, ()).before(1)
  assert started[-2:] == ['start', 'stop']


def test_a_trace_is_written(tmp_path):
  """In a process of its own: JAX's profiler crashes where libtpu was loaded without a TPU, as other tests do."""
  code = f"""
import jax.numpy as jnp, pathlib
from vibethinker_jax.runtime import timeline
profile = timeline.Profile(pathlib.Path({str(tmp_path)!r}), (1, 1))
profile.before(1)
jnp.ones(3).block_until_ready()
profile.before(2)"""
  subprocess.run([sys.executable, '-c', code], check=True)
  assert list(tmp_path.rglob('*.xplane.pb'))


@pytest.mark.parametrize(
  'where, workdir, expected',
  [('auto', 'work', 'work/compiled'), ('auto', '', 'cache/vibethinker_jax/compiled'), ('mine', 'work', 'mine')],
)
def test_where_compiled_programs_are_kept(tmp_path, monkeypatch, where, workdir, expected):
  set_to = {}
  monkeypatch.setattr(jax.config, 'update', set_to.__setitem__)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR', raising=False)
  where = where if where == 'auto' else str(tmp_path / where)
  startup.keep_compiled(where, tmp_path / workdir if workdir else None)
  assert set_to['jax_compilation_cache_dir'] == str(tmp_path / expected)


def test_nothing_is_kept_where_that_is_asked_for(monkeypatch):
  monkeypatch.setattr(jax.config, 'update', lambda *_: pytest.fail('set'))
  startup.keep_compiled('')
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', 'theirs')
  startup.keep_compiled('auto')
