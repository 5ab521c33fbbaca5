"""Data by URL: what is kept, what a run that goes on reads, and what each fault says; real servers, no network."""

import gzip
import json
import os
import pathlib
import signal

import pytest

from vibethinker_jax.data import presets, published
from vibethinker_jax.data.files import remote, rows


def lines(count: int, start: int = 0) -> bytes:
  return b''.join(b'{"problem": "%d", "answer": %d}\n' % (i, i) for i in range(start, start + count))


def read(*entries: str) -> str:
  """Code that shows (file names, rows) of each entry."""
  shown = 'show(lambda: (lambda p: [[os.path.basename(x) for x in p], len(rows.Rows(p))])(rows.paths({!r})))\n'
  return ''.join(shown.format(entry) for entry in entries)


def test_the_hub_in_every_form(hub):
  repo = hub.dataset('O/N', {'a.jsonl': lines(3)})
  first = repo.branches['main']
  repo.publish(
    {'a.jsonl': lines(4), 'data/b.jsonl': lines(5), 'data/c.jsonl.gz': gzip.compress(lines(6)), 'README.md': b'x'}
  )
  d = 'hf://datasets/O/N'
  entries = (
    f'{d}/a.jsonl',
    f'{d}/a.jsonl@{first}',
    f'{d}@{first}/a.jsonl',
    f'{d}@main/data/*',
    f'{d}/data/b.jsonl,{d}/a.jsonl',
  )
  found = hub.run(read(*entries) + 'show(lambda: origins.of(*origins.known["data"]))')
  b, c = 'b.jsonl', 'c.jsonl.gz'
  assert found[:-1] == [[['a.jsonl'], 4], [['a.jsonl'], 3], [['a.jsonl'], 3], [[b, c], 11], [[b, 'a.jsonl'], 9]]
  noted = found[-1]['data'][f'{d}/a.jsonl']
  assert noted[0]['url'] == f'hf://datasets/O/N@{repo.branches["main"]}/a.jsonl' and len(noted[0]['sha256']) == 64
  assert hub.count('/resolve/') == 4  # a of two commits, b, c: each once


def test_what_has_not_changed_is_not_downloaded_again(hub):
  hub.files['x/a.jsonl'] = lines(3)
  url = f'{hub.url}/files/x/a.jsonl'
  assert hub.run(read(url)) == hub.run(read(url)) == [[['a.jsonl'], 3]] and hub.count('a.jsonl') == 1
  hub.files['x/a.jsonl'] = lines(4)
  assert hub.run(read(url)) == [[['a.jsonl'], 4]]
  hub.no_tags = True  # then nobody knows
  hub.run(read(url) + read(url))
  assert hub.count('a.jsonl') == 3


def test_a_run_that_goes_on_reads_the_same_bytes(hub, tmp_path):
  hub.files |= {'x/a.jsonl': lines(3), 'x/b.jsonl': lines(1)}
  url = f'{hub.url}/files/x/*.jsonl'
  go_on = f'origins.take(origins.read({str(tmp_path)!r}))\n'
  assert hub.run(read(url) + f'origins.write({str(tmp_path)!r})') == [[['a.jsonl', 'b.jsonl'], 4]]
  hub.files |= {'x/a.jsonl': lines(7), 'x/c.jsonl': lines(1)}
  asked = len(hub.log)
  assert hub.run(go_on + read(url)) == [[['a.jsonl', 'b.jsonl'], 4]] and len(hub.log) == asked
  assert hub.run(read(url)) == [[['a.jsonl', 'b.jsonl', 'c.jsonl'], 9]]
  for path in pathlib.Path(f'{hub.caches}/xdg/vibethinker_jax/data').rglob('a.jsonl'):
    path.unlink()
  (error,) = hub.run(go_on + read(url))
  assert 'a.jsonl has changed since this run was started (sha256' in error and '\n' not in error
  hub.files['x/a.jsonl'] = lines(3)
  assert hub.run(go_on + read(url)) == [[['a.jsonl', 'b.jsonl'], 4]]


def test_a_broken_download_goes_on(hub, tmp_path):
  hub.files['a.jsonl'] = content = lines(600_000)
  url = f'{hub.url}/files/a.jsonl'
  assert len(content) > 2 * remote.BLOCK
  hub.cut, hub.busy = {'a.jsonl': 5_000_000}, 1
  assert hub.run(read(url)) == [[['a.jsonl'], 600_000]]
  hub.files['b.jsonl'], hub.slow = content, 0.01
  process = hub.start(read(f'{hub.url}/files/b.jsonl'))
  part = lambda: sum(path.stat().st_size for path in pathlib.Path(hub.caches).rglob('b.jsonl.*.part'))
  while part() < remote.BLOCK:
    process.poll() is None or pytest.fail(process.stderr.read())
  process.send_signal(signal.SIGKILL)
  process.communicate()
  hub.slow, before = 0, hub.sent('b.jsonl')
  assert hub.run(read(f'{hub.url}/files/b.jsonl')) == [[['b.jsonl'], 600_000]]
  assert hub.sent('b.jsonl') - before <= len(content) - remote.BLOCK  # the killed one's part is used
  hub.no_ranges = True
  hub.files['c.jsonl'], hub.cut = content, {'c.jsonl': 5_000_000}
  assert hub.run(read(f'{hub.url}/files/c.jsonl')) == [[['c.jsonl'], 600_000]]


def test_two_processes_download_once(hub):
  hub.dataset('O/N', {'a.jsonl': lines(60_000)})
  hub.slow = 0.02
  both = [hub.start(read('hf://datasets/O/N/a.jsonl')) for _ in range(2)]
  found = [json.loads(process.communicate(timeout=300)[0]) for process in both]
  assert found == 2 * [[['a.jsonl'], 60_000]] and hub.sent('/cdn/') == len(lines(60_000))


def test_without_a_network_the_copy_is_read_and_said_so(hub):
  hub.dataset('O/N', {'a.jsonl': lines(3)})
  hub.files['b.jsonl'] = lines(2)
  entries = 'hf://datasets/O/N/a.jsonl', f'{hub.url}/files/b.jsonl'
  before = hub.run(read(*entries))
  hub.close()
  hub.run('show(lambda: 0)')
  assert hub.run(read(entries[0]), HF_HUB_OFFLINE='1') == before[:1] and 'read as it was on 20' in hub.stderr
  assert hub.run(read(*entries), HF_ENDPOINT='http://127.0.0.1:1') == before
  (other,) = hub.run(read(f'{hub.url}/files/c.jsonl'))
  assert 'cannot be reached' in other and 'there is no copy of it' in other and '\n' not in other


def test_each_fault_is_one_line(hub):
  hub.dataset('O/N', {'data/a.jsonl': lines(3)})
  hub.dataset('O/Gated', {'a.csv': b'a,b\n1,2\n'}, gated=True, token='mine')
  d, h = 'hf://datasets/O', f'{hub.url}/files'
  said = {
    f'{d}/N/z.jsonl': 'no such file: hf://datasets/O/N/z.jsonl',
    f'{d}/N/*.csv': 'nothing matches',
    f'{d}/N/data': 'is a folder: name the files in it, for example hf://datasets/O/N/data/*.jsonl; it has a.jsonl',
    f'{d}/M/a.jsonl': 'hf auth login',
    f'{d}/N/data/a.jsonl@v9': 'no such branch, tag or commit',
    f'{d}/Gated/a.csv': 'is gated: accept its conditions',
    'hf://datasets/O': 'it is hf://datasets/OWNER/NAME/FILE',
    f'{h}/none.jsonl': 'no such data file: http',
    f'{h}/secret/a.jsonl': 'may not be read',
    'ftp://x/y.jsonl': 'hf://, https://, http://, gs://, s3://',
    's3://x/y.jsonl': "pip install -e '.[s3]'",
    'gs://x/y.jsonl': "pip install -e '.[gcs]'",
  }
  code = 'import sys; sys.modules |= {"s3fs": None, "gcsfs": None}\n'
  for (entry, part), error in zip(said.items(), hub.run(code + read(*said)), strict=True):
    assert error.startswith('ValueError: ') and part in error and '\n' not in error, (entry, error)
  assert hub.run(read(f'{d}/Gated/a.csv'), HF_TOKEN='mine') == [[['a.csv'], 1]]


def test_a_full_disk_is_no_fault_of_the_network(hub):
  hub.files['a.jsonl'] = lines(300_000)
  code = 'import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n'
  (error,) = hub.run(
    code + 'import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n' + read(f'{hub.url}/files/a.jsonl')
  )
  assert error.startswith('Unwritable: ') and 'the limit of the size of a file' in error and 'XDG_CACHE_HOME' in error


@pytest.mark.slow
def test_s3(hub):
  pytest.importorskip('s3fs')
  moto_server = pytest.importorskip('moto.server')
  import boto3

  server = moto_server.ThreadedMotoServer(port=0)
  server.start()
  url = 'http://{}:{}'.format(*server.get_host_and_port())
  keys = {
    'AWS_ACCESS_KEY_ID': 'a',
    'AWS_SECRET_ACCESS_KEY': 'b',
    'AWS_DEFAULT_REGION': 'us-east-1',
    'AWS_ENDPOINT_URL': url,
  }
  try:
    client = boto3.client(
      's3', endpoint_url=url, aws_access_key_id='a', aws_secret_access_key='b', region_name='us-east-1'
    )
    client.create_bucket(Bucket='mine')
    for name, count in (('x/a.jsonl', 3), ('x/b.jsonl', 400_000)):
      client.put_object(Bucket='mine', Key=name, Body=lines(count))
    found = hub.run(read('s3://mine/x/a.jsonl', 's3://mine/x/*.jsonl', 's3://mine/z.jsonl'), **keys)
    assert found[:2] == [[['a.jsonl'], 3], [['a.jsonl', 'b.jsonl'], 400_003]] and 'no such data file' in found[2]
    client.put_object(Bucket='mine', Key='x/a.jsonl', Body=lines(4))
    assert hub.run(read('s3://mine/x/a.jsonl'), **keys) == [[['a.jsonl'], 4]]
  finally:
    server.stop()


@pytest.mark.slow
def test_gs(hub, launcher, monkeypatch):
  monkeypatch.setenv('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')  # asks for a kind of buckets by gRPC, for minutes
  pytest.importorskip('gcsfs')
  emulator = pytest.importorskip('gcp_storage_emulator.server')
  import gcsfs

  port = launcher.free_port()
  server = emulator.create_server('localhost', port, in_memory=True, default_bucket='bucket')
  server.start()
  url = f'http://localhost:{port}'
  try:
    fs = gcsfs.GCSFileSystem(endpoint_url=url, token='anon', project='p')
    fs.pipe({'bucket/x/a.jsonl': lines(3), 'bucket/x/b.jsonl': lines(400_000)})
    here = {'STORAGE_EMULATOR_HOST': url}
    found = hub.run(read('gs://bucket/x/a.jsonl', 'gs://bucket/x/*.jsonl', 'gs://bucket/z.jsonl'), **here)
    assert found[:2] == [[['a.jsonl'], 3], [['a.jsonl', 'b.jsonl'], 400_003]] and 'no such data file' in found[2]
  finally:
    server.stop()


def test_names_of_files():
  assert remote.name('hf://datasets/O/N@v/x/train.jsonl.gz') == remote.name('hf://datasets/O/N/train.jsonl.gz@v')
  assert [remote.name(x) for x in ('https://h/a/b.jsonl?x=/y', 'a/b.jsonl', 's3://m/b*.csv')] == [
    'b.jsonl',
    'b.jsonl',
    'b*.csv',
  ]
  assert not remote.is_remote('a/b:c.jsonl') and not remote.is_remote('C:/x') and remote.is_remote('gs://a/b')


def test_every_preset_has_a_home():
  assert published.HOMES.keys() == presets.PRESETS.keys()
  for name, home in published.HOMES.items():
    for entry in rows.entries(home.entries()):
      assert remote.is_remote(entry) and remote._HF.fullmatch(entry.removeprefix('hf://'))['early'] == home.revision, (
        name
      )
  assert published.HOMES['gpqa_diamond'].gated and os.path.basename(published.HOMES['aime25'].files[0]) == 'test.jsonl'
