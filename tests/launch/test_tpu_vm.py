"""launch/tpu_vm.sh with a gcloud whose slices are folders: what a user sees, and what runs on the hosts."""

import contextlib
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).parent
SCRIPT = HERE.parents[1] / 'launch' / 'tpu_vm.sh'
# Appends to a file on the host; SIGTERM: says so, and ends as our commands do.
JOB = """
import os, pathlib, signal, sys, time
def stop(*_):
  print("saved", flush=True)
  sys.exit(143)
signal.signal(signal.SIGTERM, stop)
with open(os.path.expanduser("~/starts"), "a") as f:
  f.write(os.getcwd() + "\\n")
print("begun", sys.argv[1:], flush=True)
END = pathlib.Path(os.environ["FAKE"], "end")
while not END.exists():
  time.sleep(0.05)
print("ended", flush=True)
sys.exit(int(END.read_text()))
"""


class Slice:
  """The fake, and the processes of tpu_vm.sh."""

  def __init__(self, path: pathlib.Path):
    self.path, self.started = path, []
    spec = importlib.util.spec_from_file_location('fake_gcloud', HERE / 'fake_gcloud.py')
    os.environ['FAKE'] = str(path)
    fake = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fake)
    del os.environ['FAKE']
    for name in ('gcloud', 'python3', 'sudo', 'curl', 'lsb_release', 'mountpoint', 'gcsfuse'):
      fake.install(path / 'bin' / name, name)
    (path / 'job.py').write_text(JOB)
    self.job = (sys.executable, str(path / 'job.py'), 'two words', "it's $HOME")

  def start(self, *command, **variables):
    environment = {
      'FAKE': str(self.path),
      'PATH': f'{self.path}/bin:{os.environ["PATH"]}',
      'HOME': str(self.path),
      'TPU': 'vibe',
      'ZONE': 'here-a',
      'TYPE': 'v5litepod-8',
      'WAIT': '0.3',
      **variables,
    }
    out, errors = (self.path / f'{name}{len(self.started)}' for name in ('out', 'errors'))
    process = subprocess.Popen(
      ['bash', str(SCRIPT), *command],
      stdout=out.open('wb'),
      stderr=errors.open('wb'),
      env=environment,
      start_new_session=True,
    )
    process.out, process.errors = out, errors
    self.started.append(process)
    return process

  def run(self, *command, **variables):
    return self.end(self.start(*command, **variables))

  def end(self, process):
    """(exit status, what it wrote to stdout, and to stderr) when it ends."""
    return process.wait(timeout=60), process.out.read_text(), process.errors.read_text()

  def calls(self, *words):
    """The calls that have all these arguments."""
    lines = (json.loads(line) for line in (self.path / 'calls.jsonl').read_text().splitlines())
    return [call for call in lines if set(words) <= set(call)]

  def wait_for(self, *files):
    deadline = time.monotonic() + 30
    while not all((self.path / file).exists() for file in files):
      assert time.monotonic() < deadline, files
      time.sleep(0.05)

  def wait_for_words(self, path, words):
    deadline = time.monotonic() + 30
    while words not in path.read_text():
      assert time.monotonic() < deadline, (path, words)
      time.sleep(0.05)

  def starts(self, host):
    return (self.path / f'host{host}' / 'starts').read_text().splitlines()

  def close(self):
    for process in self.started:
      if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    for pid in self.path.glob('host*/vibethinker/pid'):
      if not (pid.parent / 'status').exists():
        for file in ('pid', 'child'):
          with contextlib.suppress(OSError):
            os.kill(int((pid.parent / file).read_text()), signal.SIGKILL)


@pytest.fixture
def tpu(tmp_path):
  made = Slice(tmp_path)
  yield made
  made.close()


def test_creates_installs_runs_and_shows_the_log(tpu):
  (tpu.path / 'end').write_text('0')
  status, out, errors = tpu.run(*tpu.job, SPOT='1', BUCKET='my-bucket', PREPARE='touch ~/"prepared here"')
  assert status == 0, errors
  words = "begun ['two words', \"it's $HOME\"]\nended\n"
  assert out == words and 'tpu_vm: done' in errors
  [create] = tpu.calls('create')
  assert create[5:] == [
    'vibe',
    '--accelerator-type=v5litepod-8',
    '--version=v2-alpha-tpuv5-lite',
    '--spot',
    '--zone=here-a',
    '--quiet',
  ]
  for host in range(2):
    home = tpu.path / f'host{host}'
    assert tpu.starts(host) == [str(home / 'vibethinker' / 'repo')]
    assert (home / 'vibethinker' / 'repo' / 'vibethinker_jax' / 'main.py').exists()
    assert not (home / 'vibethinker' / 'repo' / '.git').exists() and (home / 'prepared here').exists()
  assert len(tpu.calls('uv', '--editable=repo[tpu,gcs]')) == 2
  assert [call[-2:] for call in tpu.calls('--implicit-dirs')] == [['my-bucket', '/gcs']] * 2


@pytest.mark.slow  # two seconds of it depend on an idle machine
def test_started_again_it_only_shows_the_log(tpu):
  first = tpu.start(*tpu.job)
  tpu.wait_for('host0/starts', 'host1/starts')
  os.killpg(first.pid, signal.SIGINT)
  status, out, errors = tpu.end(first)
  assert status == 130 and 'the command goes on' in errors
  status, _, errors = tpu.run('python', 'another.py')
  assert status == 1 and 'another command runs there' in errors and 'job.py' in errors
  second = tpu.start(*tpu.job)
  time.sleep(2)
  (tpu.path / 'end').write_text('0')
  status, out, errors = tpu.end(second)
  assert status == 0 and out.startswith('begun') and out.endswith('ended\n') and out.count('begun') == 1
  assert len(tpu.calls('create')) == 1 and len(tpu.calls('scp')) == 1 and len(tpu.starts(0)) == 1
  # Once more after its end: it runs again, on the same slice.
  status, out, errors = tpu.run(*tpu.job)
  assert status == 0 and len(tpu.starts(0)) == len(tpu.starts(1)) == 2 and len(tpu.calls('create')) == 1


@pytest.mark.parametrize('state', ['PREEMPTED', 'TERMINATED', ''])
def test_preempted(tpu, state):
  """The slice is created anew, and the command started on it."""
  watching = tpu.start(*tpu.job, SPOT='1')
  tpu.wait_for('host0/starts', 'host1/starts')
  tpu.wait_for_words(watching.out, 'begun')
  full = '"code": 8, "message": "There is no more capacity in the zone"'
  (tpu.path / 'refuse').write_text(f'ERROR: {full}\nERROR: {full}')
  for host in range(2):  # its machines are gone
    for file in ('pid', 'child'):
      os.kill(int((tpu.path / f'host{host}' / 'vibethinker' / file).read_text()), signal.SIGKILL)
  if state:
    (tpu.path / 'state').write_text(state)
  else:
    (tpu.path / 'host0').rename(tpu.path / 'old0')
    (tpu.path / 'host1').rename(tpu.path / 'old1')
    (tpu.path / 'state').unlink()
  (tpu.path / 'end').write_text('0')
  status, out, errors = tpu.end(watching)
  assert status == 0 and 'tpu_vm: done' in errors, errors
  assert len(tpu.calls('create', 'vibe', '--spot')) == 4 and len(tpu.calls('delete')) == (1 if state else 0)
  assert len(tpu.calls('scp')) == 2 and len(tpu.starts(0)) == len(tpu.starts(1)) == 1
  assert out.count('begun') == 2 and out.endswith('ended\n')


def test_machines_that_were_started_again(tpu):
  watching = tpu.start(*tpu.job, BUCKET='b')
  tpu.wait_for('host0/starts', 'host1/starts')
  for host in range(2):
    home = tpu.path / f'host{host}' / 'vibethinker'
    (home / 'boot').write_text('another')
    for file in ('pid', 'child'):
      os.kill(int((home / file).read_text()), signal.SIGKILL)
      (home / file).write_text(str(watching.pid))  # the number is of another process now
  (tpu.path / 'end').write_text('0')
  status, out, errors = tpu.end(watching)
  assert status == 0 and 'started again' in errors, errors
  assert (
    len(tpu.starts(0)) == len(tpu.starts(1)) == 2
    and len(tpu.calls('create')) == 1
    and len(tpu.calls('--implicit-dirs')) == 4
  )


def test_a_command_that_fails(tpu):
  """At once: its status. After ten minutes: it is started again, RESTARTS times."""
  (tpu.path / 'end').write_text('3')
  status, out, errors = tpu.run(*tpu.job)
  assert status == 3 and 'failed with status 3' in errors and len(tpu.starts(0)) == 1 and out.endswith('ended\n')
  (tpu.path / 'end').unlink()
  late = tpu.start(*tpu.job, RESTARTS='1')
  for times in (2, 3):
    for host in range(2):
      tpu.wait_for_words(tpu.path / f'host{host}' / 'starts', times * f'{tpu.path}/host{host}/vibethinker/repo\n')
    (tpu.path / 'end').unlink(missing_ok=True)
    for host in range(2):
      tpu.wait_for(f'host{host}/vibethinker/child')
      (tpu.path / f'host{host}' / 'vibethinker' / 'started').write_text(str(int(time.time()) - 700))
    (tpu.path / 'end').write_text('3')
  status, out, errors = tpu.end(late)
  assert status == 3 and 'starting it again (0 more times)' in errors and len(tpu.starts(0)) == 3, errors


def test_stop_and_delete(tpu):
  watching = tpu.start(*tpu.job)
  tpu.wait_for('host0/starts', 'host1/starts', 'host1/vibethinker/child')
  status, _, errors = tpu.run('stop')
  assert status == 0 and 'has ended' in errors
  status, out, errors = tpu.end(watching)
  assert status == 143 and 'it was stopped' in errors and out.endswith('saved\n')
  for host in range(2):
    assert (tpu.path / f'host{host}' / 'vibethinker' / 'status').read_text() == '143\n'
  assert tpu.run('stop')[0] == 0  # nothing runs
  assert tpu.run('delete')[0] == 0 and not (tpu.path / 'state').exists()


def test_mistakes(tpu):
  (tpu.path / 'refuse').write_text('ERROR: "code": 7, "message": "permission denied"')
  for command, variables, word in (
    ((), {}, 'Runs one of our commands'),
    (('x',), {'TPU': ''}, 'set TPU'),
    (('x',), {'TYPE': ''}, 'set TYPE'),
    (('x',), {'TYPE': 'v9-8'}, 'versions list'),
    (('x',), {}, 'cannot be created'),
  ):
    status, out, errors = tpu.run(*command, **variables)
    assert status != 0 and word in out + errors, errors
