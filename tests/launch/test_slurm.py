"""launch/slurm.sh with an srun and an scontrol that write down how they are called."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / 'launch' / 'slurm.sh'
FAKE = """#!{python}
import json, os, sys
name = os.path.basename(sys.argv[0])
with open({calls!r}, "a") as f:
  f.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
if name == "srun":
  print(os.environ.get("VIRTUAL_ENV", ""))
  sys.exit({status})
"""


@pytest.fixture
def slurm(tmp_path):
  def run(status: int, *command, **variables):
    calls = tmp_path / 'calls'
    calls.write_text('')
    for name in ('srun', 'scontrol'):
      (tmp_path / name).write_text(FAKE.format(python=sys.executable, calls=str(calls), status=status))
      (tmp_path / name).chmod(0o755)
    environment = {
      'PATH': f'{tmp_path}:{os.environ["PATH"]}',
      'SLURM_JOB_ID': '17',
      'SLURM_CPUS_ON_NODE': '96',
      **variables,
    }
    done = subprocess.run(
      ['bash', str(SCRIPT), *command], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    return done, [json.loads(line) for line in calls.read_text().splitlines()]

  return run


COMMAND = ('python', '-m', 'vibethinker_jax.main', "--config.sft.data.files='a b'")


@pytest.mark.parametrize('status', [0, 1])
def test_one_process_a_node_with_all_its_cores(slurm, tmp_path, status):
  activate = tmp_path / '.venv' / 'bin' / 'activate'
  activate.parent.mkdir(parents=True)
  activate.write_text('export VIRTUAL_ENV=here')
  done, calls = slurm(status, *COMMAND)
  [[name, *arguments]] = calls
  assert name == 'srun' and tuple(arguments[-4:]) == COMMAND and done.returncode == status
  assert {'--ntasks-per-node=1', '--cpus-per-task=96', '--kill-on-bad-exit=0'} <= set(arguments[:-4])
  assert not any('container' in x for x in arguments) and done.stdout == 'here\n'


def test_saved_before_the_time_limit_it_is_queued_again(slurm):
  done, calls = slurm(143, *COMMAND)
  assert calls[1:] == [['scontrol', 'requeue', '17']] and done.returncode == 143


def test_in_a_container(slurm, tmp_path):
  _, [call] = slurm(0, *COMMAND, CONTAINER='registry#vibe')
  assert [x for x in call if 'container' in x] == [
    '--container-image=registry#vibe',
    f'--container-mounts={tmp_path}:{tmp_path}',
    f'--container-workdir={tmp_path}',
  ]


def test_mistakes(slurm):
  for command, variables, words in (((), {}, 'give the command'), (COMMAND, {'SLURM_JOB_ID': ''}, 'sbatch')):
    done, calls = slurm(0, *command, **variables)
    assert done.returncode == 2 and words in done.stderr and calls == []


def test_options():
  """SIGTERM goes to the processes (not B:, to the script alone) long before the end; one process a node."""
  options = dict(
    line.removeprefix('#SBATCH --').partition('=')[::2]
    for line in SCRIPT.read_text().splitlines()
    if line.startswith('#SBATCH')
  )
  name, seconds = options['signal'].split('@')
  assert name == 'TERM' and int(seconds) >= 300 and 'requeue' in options and options['ntasks-per-node'] == '1'
  assert options['open-mode'] == 'append'  # else the log of the time before is lost
