"""Both recipes rehearsed as a user does it, and a config of one's own: what is said of its files before anything
runs."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
OWN = """
import importlib.util
from ml_collections import config_dict


def get_config():
  spec = importlib.util.spec_from_file_location('tiny', {tiny!r})
  tiny = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(tiny)
  config = tiny.get_config()
  config.stages = ('sft', 'rl_code', 'evaluate')
  config.sft = config.pretrain
  for name in ('pretrain', 'probe', 'merge', 'rl_math_16k', 'rl_math_32k'):
    del config[name]
  config.sft.data.files = {folder!r} + '/traces.jsonl'
  config.rl_code.data.files = {folder!r} + '/problems.jsonl'
  config.rl_code.init_from = 'sft'
  config.evaluate.data.files = {folder!r} + '/held_out.jsonl'
  config.evaluate.models = ('init', 'rl_code')
  config.sft.length = 400
  for stage in (config.rl_code, config.evaluate):
    stage.sampler.update(max_tokens=56, columns=512, prompt_columns=400)
  config.rl_code.row_length = 512
  return config
"""


def main(*arguments, timeout=1500):
  return subprocess.run(
    [sys.executable, '-m', 'vibethinker_jax.main', *arguments],
    capture_output=True,
    text=True,
    cwd=ROOT,
    timeout=timeout,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
  )


@pytest.mark.slow  # each takes 3 minutes of one core, of which most is compiling
@pytest.mark.parametrize('name', ['vibethinker_1p5b', 'vibethinker_3b'])
def test_a_recipe_is_rehearsed(name, tmp_path):
  done = main(f'--config=configs/{name}.py:rehearsal', f'--workdir={tmp_path}/run')
  assert done.returncode == 0, done.stderr[-3000:]
  config = json.loads((tmp_path / 'run/config.json').read_text())
  assert config['rehearsal'] and 'Traceback' not in done.stderr
  spec = importlib.util.spec_from_file_location('recipe', ROOT / 'configs' / f'{name}.py')
  spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
  stages = module.get_config().stages
  for stage in stages:
    assert json.loads((tmp_path / 'run' / stage / 'result.json').read_text())['seconds'] >= 0
    lines = tmp_path / 'run' / stage / 'metrics.jsonl'
    if json.loads((tmp_path / 'run' / stage / 'config.json').read_text())['program'] == 'rl':
      steps = [json.loads(line) for line in lines.read_text().splitlines()]
      assert [(x['step'], x['count'] > 0) for x in steps] == [(1, True), (2, True)]  # updates were made
  assert (
    'all problems' in done.stdout and f'{len(stages)} of {len(stages)}' in (tmp_path / 'run/report.html').read_text()
  )


@pytest.fixture
def own(tmp_path):
  """Files of one's own that are in order, and a config that reads them: its path, and a function that adds a row."""

  def add(name, *rows):
    with (tmp_path / name).open('a') as file:
      file.writelines((row if isinstance(row, str) else json.dumps(row)) + '\n' for row in rows)

  add('traces.jsonl', *({'prompt': f'What is {i} + 1?', 'response': f'It is \\boxed{{{i + 1}}}.'} for i in range(5)))
  add('problems.jsonl', *({'question': f'What is {i} + 2?', 'answer': i + 2} for i in range(5)))
  add('held_out.jsonl', *({'problem': f'What is {i} + 3?', 'answer': i + 3, 'type': 'sum'} for i in range(3)))
  (tmp_path / 'own.py').write_text(OWN.format(tiny=str(ROOT / 'configs/tiny.py'), folder=str(tmp_path)))
  return tmp_path / 'own.py', add


@pytest.mark.slow
def test_faults_are_told_before_anything_is_computed(own, tmp_path):
  config, add = own
  add('traces.jsonl', '{"prompt": "half a row",')
  add('problems.jsonl', {'question': 'long ' * 400, 'answer': 1}, {'question': 'longer ' * 400, 'answer': 2})
  add('held_out.jsonl', {'problem': 'no answer'})
  for mode in ((), ('--rehearse',)):
    done = main(f'--config={config}', f'--workdir={tmp_path}/run', *mode)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    told = done.stderr[
      done.stderr.index('error: 3 faults in the data, found before anything was computed:') :
    ].splitlines()
    assert len(told) == 4
    assert f'sft: {tmp_path}/traces.jsonl, line 6: not JSON' in told[1]
    assert f'rl_code: {tmp_path}/problems.jsonl, line 6: this prompt has ' in told[2]
    assert 'rl_code.sampler.prompt_columns=400 has room for 400' in told[2] and '2 of 7 are too long' in told[2]
    assert f'evaluate: {tmp_path}/held_out.jsonl, line 4: a problem needs prompt and answer' in told[3]
    assert not list((tmp_path / 'run').rglob('checkpoints')) and not list((tmp_path / 'run').rglob('metrics.jsonl'))


@pytest.mark.slow
def test_a_config_of_ones_own_is_rehearsed(own, tmp_path):
  config, _ = own
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run/mine').write_text('stays')
  done = main(f'--config={config}', f'--workdir={tmp_path}/run', '--rehearse')
  assert done.returncode == 0, done.stderr[-3000:]
  assert sorted(path.name for path in (tmp_path / 'run').iterdir()) == ['mine', 'rehearsal']
  table = [line.split() for line in done.stdout.splitlines()[-5:]]
  assert [line[:3] for line in table[1:4]] == [
    ['sft', 'sft', '5'],
    ['rl_code', 'rl', '5'],
    ['evaluate', 'evaluate', '3'],
  ]
  assert table[4][:5] == ['Rehearsed:', 'all', '3', 'stages', 'ran,'] and all(int(line[3]) > 5 for line in table[1:4])
  assert 'What is 0 + 2?' in done.stderr and "measured with the tokenizer of config.base='scratch'" in done.stderr
  (tmp_path / 'run/rehearsal/made_by_rehearse').unlink()
  again = main(f'--config={config}', f'--workdir={tmp_path}/run', '--rehearse')
  assert again.returncode == 1 and 'is something else here' in again.stderr
