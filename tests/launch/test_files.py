"""The scripts, the JobSet and the image as their own tools read them."""

import ast
import copy
import pathlib
import re
import subprocess
import sys

from kubeflow_trainer_api import models
import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
LAUNCH = ROOT / 'launch'
# Of the JobSet API (jobset.x-k8s.io/v1alpha2, the enum of failurePolicy.rules.action).
ACTIONS = (
  'FailJobSet',
  'RestartJobSet',
  'RestartJobSetAndIgnoreMaxRestarts',
  'RestartJob',
  'RestartJobAndIgnoreMaxRestarts',
)


def test_shellcheck():
  scripts = [*LAUNCH.glob('*.sh'), ROOT / '.ci' / 'run']
  assert len(scripts) >= 4
  shellcheck = pathlib.Path(sys.executable).parent / 'shellcheck'  # of the same environment, active or not
  done = subprocess.run([shellcheck, *map(str, scripts)], capture_output=True, text=True)
  assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def jobset():
  return yaml.safe_load((LAUNCH / 'gke_jobset.yaml').read_text())


def accepted(document: dict) -> bool:
  """Whether the models that Kubeflow generates from the APIs of JobSet and Kubernetes know every field, with its
  type."""
  try:
    return models.JobsetV1alpha2JobSet.from_dict(copy.deepcopy(document)).to_dict() == document
  except ValueError:
    return False


def test_jobset_fits_the_schema(jobset):
  assert jobset['apiVersion'] == 'jobset.x-k8s.io/v1alpha2' and jobset['kind'] == 'JobSet'
  assert accepted(jobset)
  assert all(rule['action'] in ACTIONS for rule in jobset['spec']['failurePolicy']['rules'])


@pytest.mark.parametrize(
  'change',
  [
    lambda spec, job, pod: spec.update(replicatedJob=[]),
    lambda spec, job, pod: job.update(completions='4'),
    lambda spec, job, pod: job.update(backoffLimits=0),
    lambda spec, job, pod: pod.update(nodeSelectors={}),
    lambda spec, job, pod: pod['containers'][0].pop('name'),
    lambda spec, job, pod: pod['containers'][0].update(arg=[]),
    lambda spec, job, pod: spec['failurePolicy']['rules'][0].pop('name'),
  ],
)
def test_the_schema_itself(jobset, change):
  job = jobset['spec']['replicatedJobs'][0]['template']['spec']
  change(jobset['spec'], job, job['template']['spec'])
  assert not accepted(jobset)


def test_jobset_is_one_slice(jobset):
  """What the schema does not say, but GKE and JAX need."""
  [group] = jobset['spec']['replicatedJobs']
  job, pod = group['template']['spec'], group['template']['spec']['template']['spec']
  [container] = pod['containers']
  chips = 1
  for side in pod['nodeSelector']['cloud.google.com/gke-tpu-topology'].split('x'):
    chips *= int(side)
  hosts = job['parallelism']
  assert job['completions'] == hosts and hosts * container['resources']['limits']['google.com/tpu'] == chips
  assert job['completionMode'] == 'Indexed' and pod['restartPolicy'] == 'Never' and job['backoffLimit'] == 0
  # A pod that ends as ours do after SIGTERM (watch.PREEMPTED) starts the set again, however often.
  [status] = [rule['onExitCodes'] for rule in job['podFailurePolicy']['rules'] if 'onExitCodes' in rule]
  assert status == {'containerName': container['name'], 'operator': 'In', 'values': [143]}
  [rule] = jobset['spec']['failurePolicy']['rules']
  assert rule['onJobFailureReasons'] == ['PodFailurePolicy'] and 'IgnoreMaxRestarts' in rule['action']
  assert 'volumes' not in pod and 'volumeMounts' not in container  # the workdir is gs://
  assert 'command' not in container  # tini is the image's entry point


def instructions() -> list[tuple[str, str]]:
  text = (LAUNCH / 'Dockerfile').read_text().replace('\\\n', ' ')
  return [tuple(line.split(None, 1)) for line in text.splitlines() if line and not line.startswith('#')]


def extras() -> set[str]:
  [call] = [
    node
    for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text()))
    if isinstance(node, ast.keyword) and node.arg == 'extras_require'
  ]
  return set(ast.literal_eval(call.value))


def test_dockerfile():
  found = instructions()
  assert found[0] == ('FROM', 'python:3.12-slim')
  ignored = (LAUNCH / 'Dockerfile.dockerignore').read_text().splitlines()
  copied = [path for name, rest in found if name == 'COPY' for path in rest.split()[:-1]]
  needed = {'setup.py', 'vibethinker_jax', 'configs'}
  assert needed <= set(copied)
  for path in copied:
    assert (ROOT / path).exists() and f'!{path}' in ignored, path
  arguments = dict(rest.split('=') for name, rest in found if name == 'ARG')
  [pip] = [rest for name, rest in found if name == 'RUN' and 'pip install' in rest]
  [extra] = re.findall(r'\.\[\$\{(\w+)\}\]', pip)
  assert set(arguments[extra].split(',')) | {'tpu', 'cuda'} <= extras()
  texts = [path.read_text() for path in LAUNCH.iterdir() if path.is_file()]
  given = {value for text in texts for value in re.findall(r'--build-arg EXTRA=([\w,]+)', text)}
  assert given == {'tpu,gcs', 'cuda'}
  names = [name for name, _ in found]
  assert names.index('USER') > names.index('RUN') and dict(found)['ENTRYPOINT'] == '["tini", "--"]'


def test_extras_that_scripts_install():
  for name in ('on_host.sh', 'slurm.sh'):
    for found in re.findall(r'(?:repo|\.)\[([\w,]+)\]', (LAUNCH / name).read_text()):
      assert set(found.split(',')) <= extras(), (name, found)
