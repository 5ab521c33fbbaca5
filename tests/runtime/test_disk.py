"""A disk that takes no more: one line, nothing half-written, and the same command goes on."""

import errno
import json
import logging
import os
import pathlib
import pickle
import resource
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import pytest

from vibethinker_jax import checkpoint, config
from vibethinker_jax.eval.journal import Journal
from vibethinker_jax.programs import stage
from vibethinker_jax.runtime import disk, metrics, startup, timeline

WORDS = {
  errno.ENOSPC: 'no space left',
  errno.EDQUOT: 'quota',
  errno.EROFS: 'read-only',
  errno.EACCES: 'permission denied',
}


def full(number=errno.ENOSPC):
  def fail(*_, **__):
    raise OSError(number, os.strerror(number))

  return fail


@pytest.mark.parametrize('number', WORDS)
def test_one_line_for_every_kind(tmp_path, number):
  with pytest.raises(disk.Unwritable) as caught:
    with disk.writing('the metrics', tmp_path / 'sft' / 'metrics.jsonl', 3_400_000):
      full(number)()
  line = disk.told(caught.value, '--workdir', 'the checkpoint of step 20 of sft')
  assert '\n' not in line and str(tmp_path) in line and WORDS[number] in line and 'while writing the metrics' in line
  assert 'Kept: the checkpoint of step 20 of sft' in line and 'start the same command again: it goes on' in line
  assert ('at least 3.4 MB' in line) == (number == errno.ENOSPC)
  assert ('give another --workdir' in line) == (number in (errno.EROFS, errno.EACCES))


@pytest.mark.parametrize(
  'error',
  [
    ValueError("RESOURCE_EXHAUSTED: Failed to write 10 bytes to file 5: No space left on device [os_error_code='28']"),
    RuntimeError('I/O error: No space left on device (os error 28)'),
    ExceptionGroup('several', [ValueError('x'), OSError(errno.ENOSPC, 'y')]),
  ],
)
def test_what_libraries_say_of_it(tmp_path, error):
  with pytest.raises(disk.Unwritable, match='no space left'):
    with disk.writing('a file', tmp_path):
      raise error


@pytest.mark.parametrize('error', [ValueError('rows 1: Permission denied'), KeyError('x'), KeyboardInterrupt()])
def test_other_errors_pass(tmp_path, error):
  with pytest.raises(type(error)) as caught:
    with disk.writing('a file', tmp_path):
      raise error
  assert caught.value is error


def test_replacing_is_whole_or_not_at_all(tmp_path):
  path = tmp_path / 'deep' / 'result.json'
  config.write_json(path, {'a': 1})
  with pytest.raises(disk.Unwritable, match='result.json'):
    with disk.replacing(path, path.name) as temporary:
      temporary.write_text('{"a"')
      full()()
  assert json.loads(path.read_text()) == {'a': 1} and [p.name for p in path.parent.iterdir()] == ['result.json']


class Short:
  """A raw file on a disk that is full after some bytes."""

  def __init__(self, file, room):
    self.file, self.room, self.name = file, room, file.name

  def write(self, content):
    if not self.room:
      full()()
    count = self.file.write(content[: self.room])
    self.room -= count
    return count

  def __getattr__(self, name):
    return getattr(self.file, name)


def test_half_a_line_is_taken_back(tmp_path):
  with disk.open_lines(tmp_path / 'x.jsonl', 'x') as file:
    disk.append(file, b'{"a": 1}\n', 'x')
    with pytest.raises(disk.Unwritable, match='while writing x'):
      disk.append(Short(file, 4), b'{"b": 2}\n', 'x')
    disk.append(file, b'{"c": 3}\n', 'x')
  assert (tmp_path / 'x.jsonl').read_text() == '{"a": 1}\n{"c": 3}\n'


def test_metrics_before_the_failure_are_kept(tmp_path, monkeypatch):
  writer = metrics.Writer(tmp_path)
  writer.write(1, {'loss': 1.0})
  writer._file = Short(writer._file, 10)
  with pytest.raises(disk.Unwritable, match='the metrics'):
    writer.write(2, {'loss': 2.0})
  writer._file, writer._board = writer._file.file, Short(writer._board, 10)
  with pytest.raises(disk.Unwritable, match='TensorBoard'):  # here and now, not in a thread that nobody looks after
    writer.write(3, {'loss': 3.0})
  monkeypatch.setattr(timeline.disk, 'append', full())
  with pytest.raises(disk.Unwritable, match='the timeline'):
    writer.write(4, {'loss': 3.0})
  assert [line['step'] for line in metrics.read(tmp_path)] == [1, 3]


def test_a_restart_on_a_full_disk_loses_no_metrics(tmp_path, monkeypatch):
  with disk.open_lines(tmp_path / 'metrics.jsonl', 'x') as file:
    for step in (1, 2, 3):
      disk.append(file, json.dumps({'step': step}).encode() + b'\n', 'x')
  monkeypatch.setattr('pathlib.Path.write_bytes', full())
  with pytest.raises(disk.Unwritable, match='the metrics'):
    metrics.Writer(tmp_path, step=2)
  assert [line['step'] for line in metrics.read(tmp_path)] == [1, 2, 3]


def test_the_journal_keeps_its_responses(tmp_path):
  row = {'set': 's', 'id': 'a', 'sample': 0, 'response': 'x' * 50, 'tokens': 3, 'cut_off': False}
  journal = Journal(tmp_path)
  journal.append(row)
  journal._file = Short(journal._file, 20)
  with pytest.raises(disk.Unwritable, match='responses'):
    journal.append(row | {'sample': 1})
  assert list(journal.known) == list(Journal(tmp_path).known) == [('s', 'a', 0)]


def test_the_journal_of_other_hosts_writes_nothing(tmp_path):
  journal = Journal(tmp_path / 'out', writes=False)
  journal.start()
  journal.append({'set': 's', 'id': 'a', 'sample': 0, 'tokens': 3})
  journal.stop()
  assert len(journal.known) == 1 and not (tmp_path / 'out').exists()


def limited(code, *arguments, size=0):
  """Runs Python where no file may be larger than `size` bytes: a full disk that needs no root."""
  code = f'import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n{code}'
  return subprocess.run(
    [sys.executable, '-c', code, *map(str, arguments)],
    capture_output=True,
    text=True,
    timeout=300,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
  )


SAVE = """
import pathlib, sys
import jax, jax.numpy as jnp
from vibethinker_jax import checkpoint
from vibethinker_jax.runtime import startup
startup.plain_logs()
params = {name: jax.random.normal(jax.random.key(i), (300, 300)) for i, name in enumerate('abcd')}
train = {'step': jnp.int32(1)}
with startup.one_line(ValueError, flag='--workdir', kept=lambda: f'step {checkpoint.steps(where)}'):
  where = pathlib.Path(sys.argv[1])
  with checkpoint.Checkpoints(where, keep=None, model={'config': {}, 'tokenizer': {}}) as checkpoints:
    checkpoints.save(int(sys.argv[2]), params, train, {})
"""


def test_a_checkpoint_that_does_not_fit(tmp_path):
  """In the background, in threads and event loops of Orbax and TensorStore: still one line, and the step is no step."""
  assert limited(SAVE, tmp_path, 1, size=resource.RLIM_INFINITY).returncode == 0
  done = limited(SAVE, tmp_path, 2, size=100_000)
  assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
  assert all(
    part in done.stderr
    for part in (
      f'error: {tmp_path}: ',
      'size of a file',
      'the checkpoint of step 2',
      'Kept: step [1]',
      'same command again',
    )
  )
  assert checkpoint.steps(tmp_path) == [1] and [p.name for p in tmp_path.iterdir()] == ['1']
  target = {name: jax.ShapeDtypeStruct((300, 300), jnp.float32, sharding=jnp.zeros(1).sharding) for name in 'abcd'}
  checkpoint.read_params(checkpoint.find(tmp_path), target, checkpoint.read_model(checkpoint.find(tmp_path))['digests'])


def test_what_a_failed_save_left_goes_although_threads_still_write(tmp_path, monkeypatch):
  checkpoints = checkpoint.Checkpoints(tmp_path, keep=None, model={'config': {}, 'tokenizer': {}})
  checkpoints._saving, calls, remove = 2, [], checkpoint.shutil.rmtree
  (tmp_path / '2.orbax-checkpoint-tmp' / 'params').mkdir(parents=True)
  monkeypatch.setattr(
    checkpoint.shutil, 'rmtree', lambda path, **more: calls.append(path) or len(calls) > 2 and remove(path)
  )
  checkpoints._remove_partial()
  assert len(calls) == 3 and not list(tmp_path.iterdir())


def test_standard_output_that_is_full():
  if not os.path.exists('/dev/full'):
    pytest.skip('no /dev/full')
  code = "from vibethinker_jax.runtime import startup\nwith startup.one_line(flag='--output'):\n  print('x')"
  with open('/dev/full', 'w') as nowhere:
    done = subprocess.run([sys.executable, '-c', code], stdout=nowhere, stderr=subprocess.PIPE, text=True, timeout=60)
  assert done.returncode == 1 and done.stderr.startswith('error: standard output') and done.stderr.count('\n') == 1


def test_a_directory_is_tried_before_anything_is_computed(tmp_path, monkeypatch):
  (tmp_path / 'file').write_text('')
  with pytest.raises(disk.Unwritable, match='a file stands where a directory is needed'):
    disk.check(tmp_path / 'file' / 'run')
  disk.check(tmp_path / 'a' / 'b')
  assert list((tmp_path / 'a' / 'b').iterdir()) == []
  monkeypatch.setattr('tempfile.TemporaryFile', full(errno.EACCES))
  with pytest.raises(disk.Unwritable, match='permission denied'):
    disk.check(tmp_path / 'a')


def test_a_full_compilation_cache_is_said_once(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(warnings, 'showwarning', lambda *_, **__: None)
  monkeypatch.setattr(logging.getLogger('vibethinker_jax'), 'propagate', True)
  startup._watch_cache(tmp_path)
  for name in ('f', 'g'):
    (tmp_path / f'{name}-cache').write_bytes(b'half')
    with warnings.catch_warnings(record=False):
      warnings.simplefilter('always')
      warnings.showwarning(
        UserWarning(
          f"Error writing persistent compilation cache entry for 'jit_{name}': OSError: [Errno "
          '28] No space left on device'
        ),
        UserWarning,
        'compiler.py',
        1,
      )
  assert [r.levelname for r in caplog.records] == ['WARNING'] and 'no space left' in caplog.text
  assert str(tmp_path) in caplog.text and list(tmp_path.iterdir()) == []  # JAX would never write a half entry anew


def test_a_profile_that_does_not_fit_ends_nothing(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(jax.profiler, 'start_trace', lambda *_, **__: None)
  monkeypatch.setattr(jax.profiler, 'stop_trace', full())
  monkeypatch.setattr(logging.getLogger('vibethinker_jax'), 'propagate', True)
  profile = timeline.Profile(tmp_path, (1, 1))
  profile.before(1)
  profile.before(2)
  profile.stop()
  assert 'no space left' in caplog.text and 'the profile' in caplog.text


def test_an_error_of_a_disk_comes_whole_from_another_process():
  error = disk.Unwritable(pathlib.Path('/x'), 'compiled programs', errno.ENOSPC, 'no space left', 3_000_000)
  again = pickle.loads(pickle.dumps(error))
  assert str(again) == str(error) and (again.what, again.number, again.size) == (error.what, error.number, error.size)


def test_what_is_kept_of_an_evaluate_stage(tmp_path):
  responses = tmp_path / 'evaluate' / 'init' / 'responses.jsonl'
  responses.parent.mkdir(parents=True)
  responses.write_text('{}\n' * 11)
  assert stage.kept(tmp_path, ('sft', 'evaluate')) == '11 lines of evaluate/init/responses.jsonl'
