"""launch/colab.ipynb: as it is kept, and as it runs."""

import json
import os
import pathlib
import re

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def notebook():
  return nbformat.read(ROOT / 'launch' / 'colab.ipynb', as_version=4)


def code(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == 'code']


def test_it_is_kept_without_outputs(notebook):
  nbformat.validate(notebook)
  assert 10 <= len(notebook.cells) <= 25
  assert all(cell.outputs == [] and cell.execution_count is None for cell in code(notebook))
  assert max(len(cell.source) for cell in notebook.cells if cell.cell_type == 'markdown') < 700
  for cell in code(notebook):
    compile(cell.source, 'cell', 'exec')


def test_the_install_cell_does_nothing_here(notebook, monkeypatch):
  monkeypatch.setattr('subprocess.run', lambda *_, **__: pytest.fail('it installs'))
  exec(code(notebook)[0].source, {})


def test_the_install_cell_elsewhere(notebook, monkeypatch, tmp_path):
  """Without the package it clones and installs the build of JAX for what is there."""
  ran, driver = [], '550.54.15'
  monkeypatch.setattr('importlib.util.find_spec', lambda _: None)
  monkeypatch.setattr('os.path.exists', lambda path: False)
  monkeypatch.setattr('shutil.which', lambda name: name)
  monkeypatch.setattr('subprocess.check_output', lambda *_, **__: driver)
  monkeypatch.setattr(
    'subprocess.run', lambda words, check: (ran.append(words), os.makedirs('checkout', exist_ok=True))
  )
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr('sys.path', [])
  source = code(notebook)[0].source
  with pytest.raises(ValueError, match='REPOSITORY'):
    exec(source, {})
  source = source.replace("REPOSITORY = ''", "REPOSITORY = 'https://example.com/x.git'")
  exec(source, {})
  assert ran[0][:2] == ['git', 'clone'] and 'https://example.com/x.git' in ran[0]
  assert {'-e', '.', 'jax[cuda12]'} <= set(ran[1]) and pathlib.Path.cwd() == tmp_path / 'checkout'
  driver = '580.65.06'
  exec(source, {})
  assert 'jax[cuda13]' in ran[-1]
  monkeypatch.setattr('os.path.exists', lambda path: path == '/dev/vfio/0')
  monkeypatch.setattr('shutil.which', lambda name: None)
  exec(source, {})
  assert '.[tpu]' in ran[-1] and not any('cuda' in word for word in ran[-1])


@pytest.mark.slow
def test_it_runs(notebook, monkeypatch, tmp_path):
  monkeypatch.setenv('TMPDIR', str(tmp_path))
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  for name in ('XLA_FLAGS', 'JAX_NUM_CPU_DEVICES', 'JAX_DISABLE_MOST_OPTIMIZATIONS'):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'compiled'))
  nbclient.NotebookClient(
    notebook, timeout=900, kernel_name='python3', resources={'metadata': {'path': str(ROOT)}}
  ).execute()  # raises what a cell raises
  shown = [(cell, output) for cell in code(notebook) for output in cell.outputs]
  images = [cell.source for cell, output in shown if 'image/png' in output.get('data', {})]
  assert len(images) == 4 and any('entropy_deviation_weight' in source for source in images)
  text = ''.join(output.text for _, output in shown if output.output_type == 'stream' and output.name == 'stdout')
  assert 'right | ' in text and 'wrong | ' in text
  [page] = [output.data['text/html'] for _, output in shown if 'text/html' in output.get('data', {})]
  assert 'iframe' in page and 'Pass@' in page and len(page) > 20_000
  scores = {name: float(x) for name, x in re.findall(r'^(init|sft|rl) +Pass@1 ([\d.]+)', text, flags=re.MULTILINE)}
  assert scores['init'] < 0.02 and scores['sft'] > 0.1 and scores['rl'] > 0.1, (
    scores
  )  # a dozen updates gain nothing sure
  workdir = tmp_path / 'vibethinker_notebook'
  assert json.loads((workdir / 'rl' / 'result.json').read_text())['strength'] == 4.0
