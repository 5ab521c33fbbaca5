"""A workdir in a bucket, against a server of Cloud Storage: what is there when, faults, and two processes at once."""

import subprocess
import sys
import time

import pytest

from vibethinker_jax import config as config_lib
from vibethinker_jax.eval.journal import Journal
from vibethinker_jax.runtime import disk, metrics, startup, storage


def staged(bucket, **more):
  return storage.staged(f'{bucket.url}/run', '--workdir', **more)


def written(path, text):
  with disk.replacing(path, path.name) as temporary:
    temporary.write_text(text)


def contents(bucket):
  return {name.removeprefix('run/'): bucket.read(name) for name in bucket.names('run/')}


def uploads(bucket, name):
  return [i for i, (_, path, head) in enumerate(bucket.seen) if '/upload/' in path and f'run/{name}"'.encode() in head]


def test_a_local_directory_is_itself(tmp_path):
  with storage.staged(str(tmp_path / 'run'), '--workdir') as workdir:
    assert workdir == tmp_path / 'run' and not workdir.exists()
    assert storage.far(workdir / 'x') == workdir / 'x' and storage.named(str(workdir)) == str(workdir)
    storage.put(), storage.grown(), storage.remove(workdir)


@pytest.mark.parametrize(
  'given, word',
  [
    ('s3://bucket/run', 's3:// cannot be written'),
    ('hdfs://host/run', 'gs://BUCKET/DIRECTORY'),
    ('az://container/run', 'copied to it afterwards'),
    ('gs:/bucket/run', 'is written gs://BUCKET/DIRECTORY'),
    ('gs:bucket/run', 'is written gs://BUCKET/DIRECTORY'),
    ('gcs://bucket/run', 'is written gs://BUCKET/DIRECTORY'),
    ('s3:bucket/run', 's3:// cannot be written'),
    ('GS://bucket/run', 'is written gs://'),
    ('gs://bucket', 'a name and a directory'),
    ('gs:///run', 'a name and a directory'),
    ('gs://bucket/', 'a name and a directory'),
  ],
)
def test_what_cannot_be_written_is_refused(given, word):
  with pytest.raises(ValueError, match=word) as caught, storage.staged(given, '--workdir'):
    pass
  assert str(caught.value).startswith(f'--workdir={given}: ') and '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'command, flags',
  [
    ('main', ('--config=configs/tiny.py', '--workdir=s3://bucket/run')),
    ('main', ('--config=configs/tiny.py', '--rehearse', '--workdir=s3://bucket/run')),
    ('evaluate', ('--checkpoint=runs/x', '--output=s3://bucket/run')),
    ('main', ('--config=configs/tiny.py', '--workdir=w', '--config.compilation_cache=s3://bucket/run')),
    ('convert', ('--source=runs/x', '--target=gs://bucket/run')),
    ('decontaminate', ('--train=a.jsonl', '--against=b.jsonl', '--output=gs://bucket/kept.jsonl')),
    ('plan', ('--config=configs/tiny.py', '--topology=v5e:2x2', '--cache=gs://bucket/run')),
  ],
)
@pytest.mark.slow
def test_commands_refuse_in_one_line(command, flags):
  done = subprocess.run(
    [sys.executable, '-m', f'vibethinker_jax.{command}', *flags], capture_output=True, text=True, timeout=300
  )
  assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
  assert done.stderr.startswith(('error: --', 'error: config.')), done.stderr


@pytest.mark.parametrize('given', ['s3://bucket/model', 'gs:/bucket/model', 'gs:bucket/model', 'abc://x/y'])
def test_what_is_not_read_either_is_said(given):
  told = 'a bucket is written gs://BUCKET/PATH' if given.startswith('gs') else 'from this machine and from gs://BUCKET'
  with pytest.raises(ValueError, match=told) as caught:
    storage.path(given)
  assert str(caught.value).startswith(f'{given}: ')
  assert str(storage.path('runs/x@3')) == 'runs/x@3' and str(storage.path('O/N@main')) == 'O/N@main'


def test_gs_without_gcsfs(monkeypatch):
  monkeypatch.setitem(sys.modules, 'gcsfs', None)
  with pytest.raises(ValueError, match=r"pip install 'vibethinker_jax\[gcs\]'"):
    storage.far('gs://bucket/run')


def test_a_file_that_is_written_whole_is_there_at_once_and_after_all_others(bucket):
  with staged(bucket) as workdir:
    file = disk.open_lines(workdir / 'sft' / 'zzz.jsonl', 'lines')
    disk.append(file, b'{}\n', 'lines')
    assert 'run/sft/zzz.jsonl' not in bucket.names()
    config_lib.write_json(workdir / 'sft' / 'result.json', {'steps': 3})
    assert contents(bucket).items() >= {'sft/zzz.jsonl': b'{}\n', 'sft/result.json': b'{\n "steps": 3\n}'}.items()
    assert uploads(bucket, 'sft/zzz.jsonl') < uploads(bucket, 'sft/result.json')
  assert set(contents(bucket)) == {'sft/zzz.jsonl', 'sft/result.json'}  # no temporary file, no owner


def test_a_start_elsewhere_finds_it_and_what_goes_here_goes_there(bucket):
  with staged(bucket) as first:
    written(first / 'a' / 'b.txt', 'one')
    written(first / 'c.txt', 'two')
  bucket.write('run/a/checkpoints/3/x', b'array')
  with staged(bucket) as second:
    assert first != second and not first.exists() and first.name == second.name == 'run'
    assert {p.relative_to(second).as_posix() for p in second.rglob('*') if p.is_file()} == {'a/b.txt', 'c.txt'}
    assert storage.far(second / 'a' / 'checkpoints').as_posix() == f'{bucket.url}/run/a/checkpoints'
    seen = len(bucket.seen)
    storage.put()
    assert len(bucket.seen) == seen  # nothing has changed
    storage.remove(second / 'a')
    assert set(contents(bucket)) == {'c.txt', 'owner.json'}
    (second / 'c.txt').unlink()
  assert contents(bucket) == {}


def test_what_is_written_every_second_is_not_put_up_every_second(bucket):
  with staged(bucket) as workdir:
    for i in range(20):
      written(workdir / 'timing.json', str(i))
    assert len(uploads(bucket, 'timing.json')) == 1
  assert contents(bucket) == {'timing.json': b'19'}


def test_what_grows_is_put_up_when_it_is_due(bucket, monkeypatch):
  with staged(bucket) as workdir:
    journal = Journal(workdir)
    row = {'set': 's', 'id': 'a', 'sample': 0, 'tokens': 3, 'response': 'x'}
    journal.append(row)
    assert 'responses.jsonl' not in contents(bucket)
    monkeypatch.setattr(storage._mirror, 'next', time.monotonic())
    journal.append(row | {'sample': 1})
    assert contents(bucket)['responses.jsonl'].count(b'\n') == 2
    journal.append(row | {'sample': 2})
    assert contents(bucket)['responses.jsonl'].count(b'\n') == 2
    assert storage._mirror.next > time.monotonic() + storage.EVERY / 2
    monkeypatch.setattr(storage._mirror, 'end', lambda: None)  # killed
  with staged(bucket) as workdir:
    assert len(Journal(workdir).known) == 2


def test_a_bucket_that_does_not_answer_ends_nothing_until_it_must(bucket, buckets, caplog, monkeypatch):
  monkeypatch.setattr(storage.LOG, 'propagate', True)
  with staged(bucket) as workdir:
    writer = metrics.Writer(workdir / 'sft')
    bucket.faults.append(buckets[0].unavailable(10**6))
    monkeypatch.setattr(storage._mirror, 'next', time.monotonic())
    writer.write(1, {'loss': 1.0})
    assert 'it is tried again' in caplog.text
    with pytest.raises(OSError, match=f'{bucket.url}/run: writing failed: .*same command goes on'):
      storage.put()
    bucket.faults.clear()
  assert b'"loss": 1.0' in contents(bucket)['sft/metrics.jsonl']


@pytest.mark.parametrize('kind', ['unavailable', 'cut', 'slow'])
def test_faults_that_pass(bucket, buckets, kind):
  faults, _ = buckets
  fault = {
    'unavailable': lambda: faults.unavailable(3),
    'cut': lambda: faults.cut(2, faults.uploads('run/a.bin')),
    'slow': lambda: faults.slow(0.2),
  }[kind]()
  large = bytes(range(256)) * (6 * 2**20 // 256)  # in several requests
  bucket.faults.append(fault)
  with staged(bucket) as workdir:
    (workdir / 'a.bin').write_bytes(large)
    storage.put()
    assert bucket.read('run/a.bin') == large
  with staged(bucket) as workdir:
    assert (workdir / 'a.bin').read_bytes() == large


def test_an_upload_that_is_cut_leaves_what_was_there(bucket, buckets):
  faults, _ = buckets
  with staged(bucket) as workdir:
    written(workdir / 'a.bin', 'old')
    bucket.faults.append(faults.cut(10**6, faults.uploads('a.bin')))
    (workdir / 'a.bin').write_bytes(bytes(6 * 2**20))
    with pytest.raises(OSError, match='writing failed'):
      storage.put()
    assert bucket.read('run/a.bin') == b'old'
    bucket.faults.clear()


def test_of_two_processes_the_one_that_started_last_owns_it(bucket):
  with pytest.raises(storage.Lost, match='another process has started in it .*process'):
    with staged(bucket) as first:
      written(first / 'a.txt', 'first')
      mine = storage._mirror
      with staged(bucket) as second:
        written(second / 'a.txt', 'second')
      storage._mirror = mine
      bucket.write('run/owner.json', b'"host, process 7, today, abc"')
      written(first / 'b.txt', 'first')
  assert bucket.read('run/a.txt') == b'second' and 'run/b.txt' not in bucket.names()


def test_other_hosts_hear_what_the_first_has_written(bucket):
  with staged(bucket) as first:
    owner = storage._mirror
    with staged(bucket, owner=False) as other:
      mine = storage._mirror
      storage._mirror = owner
      written(first / 'tokenizer.model', 'x')
      storage._mirror = mine
      assert not (other / 'tokenizer.model').exists()
      assert storage.here(other / 'tokenizer.model').read_text() == 'x'
      assert not storage.here(other / 'none').exists()
      written(other / 'profile' / '1', 'of host 1')
    storage._mirror = owner
  assert set(contents(bucket)) == {'tokenizer.model', 'profile/1'}


@pytest.mark.parametrize('fault', ['no bucket', 'forbidden'])
def test_errors_name_the_bucket_in_one_line(bucket, buckets, fault, capsys):
  if fault == 'forbidden':
    bucket.faults.append(buckets[0].refused(403))
  where = f'{bucket.url}/run' if fault == 'forbidden' else 'gs://no-such-bucket/run'
  with pytest.raises(SystemExit) as caught:
    with startup.one_line(ValueError, flag='--workdir'), storage.staged(where, '--workdir'):
      pass
  assert str(caught.value).startswith(f'error: {where}: ') and '\n' not in str(caught.value)
  remedy = 'storage.objectUser' if fault == 'forbidden' else 'gcloud storage buckets create'
  assert remedy in str(caught.value) and 'vibethinker_' not in str(caught.value)


def test_paths_are_told_as_those_of_the_bucket(bucket):
  with pytest.raises(SystemExit) as caught:
    with staged(bucket) as workdir, startup.one_line(ValueError, flag='--workdir'):
      raise ValueError(f'{workdir / "sft"}: wrong')
  assert str(caught.value) == f'error: {bucket.url}/run/sft: wrong'
