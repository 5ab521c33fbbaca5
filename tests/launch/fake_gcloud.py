"""A gcloud that has one TPU slice, whose hosts are folders: installed as `gcloud` (and, on the hosts, as what they
call).

FAKE: a folder with calls.jsonl, state (as gcloud names it; missing: there is no slice), host0, host1, ...
`refuse`, if it is there: what `create` says instead of creating, line by line.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

FAKE, HOSTS = pathlib.Path(os.environ['FAKE']), 2
STATE = FAKE / 'state'


def main(name: str, arguments: list[str]) -> int:
  with (FAKE / 'calls.jsonl').open('a') as calls:
    calls.write(json.dumps([name, *arguments]) + '\n')
  if name != 'gcloud':
    return on_host(name, arguments)
  assert arguments[:3] == ['compute', 'tpus', 'tpu-vm'] and '--zone=here-a' in arguments, arguments
  verb, *plain = [x for x in arguments[3:] if not x.startswith('--')]
  flags = dict(x[2:].split('=', 1) if '=' in x else (x[2:], '') for x in arguments[3:] if x.startswith('--'))
  if verb == 'create':
    return create()
  if not STATE.exists():
    print(
      f'ERROR: (gcloud.compute.tpus.tpu-vm.{verb}) NOT_FOUND: Resource nodes/{plain[0]} was not found', file=sys.stderr
    )
    return 1
  if verb == 'describe':
    print(STATE.read_text())
  elif verb == 'start':
    STATE.write_text('READY')
  elif verb == 'delete':
    STATE.unlink()
    for host in hosts('all'):
      shutil.rmtree(host)
  elif STATE.read_text() != 'READY':
    print('ERROR: the TPU is not ready', file=sys.stderr)
    return 1
  elif verb == 'scp':
    for host in hosts(flags['worker']):
      shutil.copy(plain[0], host)
  elif verb == 'ssh':
    running = [
      subprocess.Popen(
        ['bash', '-c', flags['command']], env=os.environ | {'HOME': str(host)}, cwd=host, stdin=subprocess.DEVNULL
      )
      for host in hosts(flags['worker'])
    ]
    return max([p.wait() for p in running])
  else:
    raise AssertionError(arguments)
  return 0


def create() -> int:
  refuse = FAKE / 'refuse'
  if refuse.exists():
    first, *rest = refuse.read_text().splitlines()
    refuse.write_text('\n'.join(rest)) if rest else refuse.unlink()
    print(first, file=sys.stderr)
    return 1
  assert not STATE.exists()
  STATE.write_text('READY')
  for i in range(HOSTS):
    (FAKE / f'host{i}').mkdir()
  return 0


def hosts(which: str) -> list[pathlib.Path]:
  return [FAKE / f'host{i}' for i in (range(HOSTS) if which == 'all' else [int(which)])]


def on_host(name: str, arguments: list[str]) -> int:
  """What `on_host.sh install` calls; pip brings a uv, and uv a Python."""
  if name == 'python3' and arguments[:2] == ['-m', 'pip']:
    install(pathlib.Path('uv/bin/uv'), 'uv')
  elif name == 'uv' and arguments[0] == 'venv':
    pathlib.Path('venv/bin').mkdir(parents=True, exist_ok=True)
    link = pathlib.Path('venv/bin/python')
    link.exists() or link.symlink_to(sys.executable)
  return 1 if name == 'mountpoint' else 0


def install(path: pathlib.Path, name: str) -> None:
  """Puts this program there under a name."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
  path.chmod(0o755)


if __name__ == '__main__':
  sys.exit(main(sys.argv[1], sys.argv[2:]))
