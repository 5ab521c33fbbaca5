"""What a start and a rehearsal say before they read: everything that is not there, together."""

import importlib.util
import pathlib
import types

import pytest

from vibethinker_jax import main
from vibethinker_jax.eval.pages import report
from vibethinker_jax.programs import recipe as recipe_lib, rehearsal

CONFIG = pathlib.Path(__file__).parents[1] / 'configs' / 'gsm8k.py'


@pytest.fixture
def bound():
  """Changes of configs/gsm8k.py -> its recipe and options; the evaluate stage names a model with a typo."""

  def bind(**changes):
    spec = importlib.util.spec_from_file_location('gsm8k', CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    values = module.get_config().to_dict() | changes
    values['evaluate']['models'] = ('init', 'sftt')
    for name in ('sft', 'rl', 'evaluate'):
      values[name]['data']['files'] = 'gsm8k/nowhere.jsonl'
    return recipe_lib.bind(values)

  return bind


def test_all_that_is_missing_is_told_at_once(bound):
  with pytest.raises(ValueError) as error:
    main.check_early(*bound(verifier='nope:judge', base='nowhere'))
  lines = str(error.value).split('\n  ')
  assert (
    lines[0].startswith('6 errors')
    and [line.partition(':')[0] for line in lines[1:4]] == ["stage 'sft'", "stage 'rl'", "stage 'evaluate'"]
    and all('no such data file' in line for line in lines[1:4])
  )
  assert "'sftt' is neither a stage of this recipe (did you mean sft?)" in lines[4]
  assert lines[5].startswith("config.base='nowhere'") and lines[6].startswith("config.verifier='nope:judge'")


def test_a_rehearsal_without_the_base_looks_at_the_template(bound, tmp_path):
  assert rehearsal._no_template(bound()[0]) == []
  (line,) = rehearsal._no_template(bound(chat_template=f'{tmp_path}/nowhere.jinja')[0])
  assert line.startswith(f"config.chat_template='{tmp_path}/nowhere.jinja' cannot be read")
  (tmp_path / 'half.jinja').write_text('{% for m in messages %}')
  (line,) = rehearsal._no_template(bound(chat_template=f'{tmp_path}/half.jinja')[0])
  assert line.startswith(f"config.chat_template='{tmp_path}/half.jinja': ") and 'endfor' in line


def test_a_rehearsal_says_for_which_models_the_tiny_one_stands(bound, caplog, monkeypatch):
  monkeypatch.setattr(rehearsal.LOG, 'propagate', True)
  rehearsal._say_elsewhere(*bound())
  assert [record.message for record in caplog.records] == [
    "evaluate.models: 'sftt' is no stage of this recipe (did you mean sft?) and not on this machine: the tiny model "
    'stands '
    'for it'
  ]


def test_each_of_several_merged_models_has_its_name():
  run = [types.SimpleNamespace(name=name, program='merge') for name in ('merge', 'merge_hard')]
  assert [report.label(name, run) for name in ('init', 'merge', 'merge_hard')] == ['base', 'merge', 'merge_hard']
  assert report.label('merge', run[:1]) == 'SFT merged'
