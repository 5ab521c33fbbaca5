"""What a reward that is none prints, before anything is computed or at the step; nothing is marked as done."""

import json

import pytest

from vibethinker_jax import checkpoint, main
from vibethinker_jax.programs import recipe

DEFAULT = 'vibethinker_jax.verify.response:verify'
NUMBER = 'def number(response, row):\n  return float(len(response) % 5)\n'
AT_THE_STEP = [  # what the function is, the first fault
  ('return None', 'it returned None; a reward is a finite number, True or False, a dict of named finite numbers, or'),
  ("return '1.0'", "it returned str '1.0'; a reward is a finite number"),
  ("return float('nan')", 'it returned float nan, which is not finite'),
  ("return float('-inf')", 'it returned float -inf, which is not finite'),
  ("return {'a': 1.0, 'why': 'good'}", "it returned str 'good' as 'why' of dict {'a': 1.0, 'why': 'good'}; a reward"),
  ('return [1.0]', 'it returned list [1.0]; a reward is'),
  ("return row['no such field']", "KeyError: 'no such field'"),
  ('import time; time.sleep(60)', 'gave no verdict in 0.3 s on a response of'),
  ('import os; os._exit(1)', 'its process ended by itself, twice, on a response of'),
]
BATCHES = [
  ('return [1.0] * (len(responses) - 1)', 'it returned 3 rewards for 4 responses, in list [1.0, 1.0, 1.0]'),
  ('return None', 'it returned None for 4 responses; it must return a list of as many rewards'),
  ('return 1.0', 'it returned float 1.0 for 4 responses; it must return a list'),
  ('return [None] * len(responses)', 'it returned None; a reward is a finite number'),
  ('return [response.no for response in responses]', "AttributeError: 'str' object has no attribute 'no'"),
]


def few_are_quick(cases: list) -> list:
  """All of them; but for the first each is slow, 8 s of compiling."""
  marks = lambda i: [pytest.mark.slow] if i else []
  return [pytest.param(*case, marks=marks(i), id=case[0]) for i, case in enumerate(cases)]


@pytest.fixture
def judges(tmp_path, monkeypatch):
  """Modules in tmp_path can be imported here and by the workers."""
  monkeypatch.syspath_prepend(tmp_path)


def stopped(toy, tmp_path, name, **change) -> str:
  """The error of a run with that verifier; mended, the same workdir goes on to its end."""
  c = toy.rewarded(f'my_judges:{name}', stage=dict(checkpoint_steps=1), **change)
  c['verify'] |= dict(batch=4, timeout=0.3, workers=2)
  with pytest.raises(ValueError) as error:
    main.run(c, tmp_path / 'run')
  assert not (tmp_path / 'run/rl/result.json').exists() and not checkpoint.steps(tmp_path / 'run/rl/checkpoints')
  return str(error.value)


def step_of(text: str, reason: str = 'fault') -> str:
  """What follows the line of the step: the first fault."""
  first, _, fault = text.partition('. The first fault:\n')
  assert first == (
    f"stage 'rl', step 1: 12 of 12 verdicts are invalid (12 {reason}), more than config.verify.invalid_share=0.5. "
    'Nothing is made of the rest, and the stage is not done: mend the verifier and start again'
  )
  assert 'worker.py' not in fault
  return fault


@pytest.mark.parametrize('body, said', few_are_quick(AT_THE_STEP))
def test_at_the_step(toy, judges, tmp_path, body, said):
  (tmp_path / 'my_judges.py').write_text(f'def bad(response, row):\n  {body}\n')
  fault = step_of(stopped(toy, tmp_path, 'bad'), 'timeout' if 'sleep' in body else 'fault')
  assert said in fault
  assert fault.startswith('Traceback' if 'Error' in said else 'my_judges:bad: ')
  assert ('\n' in fault) == ('Error' in said)


@pytest.mark.parametrize('body, said', few_are_quick(BATCHES))
def test_of_many_at_once(toy, judges, tmp_path, body, said):
  (tmp_path / 'my_judges.py').write_text(f'def bad_batch(responses, rows):\n  {body}\n')
  assert said in step_of(stopped(toy, tmp_path, 'bad_batch'))


def test_mended_it_goes_on(toy, judges, tmp_path):
  (tmp_path / 'my_judges.py').write_text('def bad(response, row):\n  return None\n')
  stopped(toy, tmp_path, 'bad')
  (tmp_path / 'my_judges.py').write_text(NUMBER.replace('number', 'bad'))
  main.run(toy.rewarded('my_judges:bad', stage=dict(checkpoint_steps=1)), tmp_path / 'run')
  assert json.loads((tmp_path / 'run/rl/result.json').read_text())['steps'] == 2


@pytest.mark.parametrize(
  'source, name, said',
  [
    (NUMBER, 'judge', "AttributeError: module 'my_judges' has no attribute 'judge'"),
    ('judge = 3\n', 'judge', "TypeError: judge of the module 'my_judges' is no function but int"),
    ('import no_such_thing\n', 'judge', "ModuleNotFoundError: No module named 'no_such_thing'"),
    ('def judge(:\n', 'judge', 'SyntaxError: invalid syntax'),
    ('raise SystemExit("no key")\n', 'judge', 'SystemExit: no key'),
    ('import os\nos._exit(1)\n', 'judge', 'did not start in 3 tries'),
  ],
)
def test_what_cannot_be_imported(toy, judges, tmp_path, source, name, said, monkeypatch):
  """Before a model is made."""
  (tmp_path / 'my_judges.py').write_text(source)
  monkeypatch.setattr(main.sharding, 'make_mesh', None)
  text = stopped(toy, tmp_path, name)
  first = text.splitlines()[0]
  assert said in first and f'my_judges:{name}' in first and 'worker.py' not in text and 'importlib' not in text
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  'rewards, said',
  [
    ((('answr', 1.0),), "config.rewards: 'answr' must be one of answer, format, overlong, repetition, or 'module:"),
    ((('answr', 1.0),), "'module:function' (did you mean answer?)"),
    ((('mine:', 1.0),), "config.rewards: 'mine:' must be one of"),
    ((('answer', 1.0), ('answer', 0.5)), 'must name none twice, as answer'),
    ((('answer', 0.0), ('format', 0.0)), 'must have a weight that is not 0: else all rewards are equal'),
    ((('overlong', -1.0),), "config.rewards: the weight -1 of 'overlong' must not be negative"),
    ((('answer', float('nan')),), 'config.rewards='),
    ((('answer', '1'),), 'must be a tuple, each element (text, a finite number > -2**128 and < 2**128)'),
    ((('answer',),), 'config.rewards='),
    (('answer', 1.0), 'config.rewards='),
  ],
)
def test_names_and_weights(toy, rewards, said):
  c = toy.rewarded(DEFAULT, rewards=rewards)
  with pytest.raises(ValueError) as error:
    recipe.bind(c)
  assert said in str(error.value) and '\n' not in str(error.value) and str(error.value).startswith('config.rewards')


def test_weights_that_are_allowed(toy):
  """Of a function of one's own what is worse may be more; what weighs nothing is reported."""
  recipe.bind(toy.rewarded(DEFAULT, rewards=(('answer', 1.0), ('my_judges:number', -0.5), ('repetition', 0.0))))
  recipe.bind(toy.rewarded(DEFAULT, correct_at=-3.0))
  recipe.bind(toy.rewarded(DEFAULT, correct_at=0))
  recipe.bind(toy.rewarded(DEFAULT, correct_at=2e9))


def test_a_module_that_is_not_there(toy, tmp_path):
  c = toy.rewarded(DEFAULT, rewards=(('answer', 1.0), ('no_such_module:judge', 1.0)))
  with pytest.raises(ValueError, match="^config.rewards: 'no_such_module:judge': there is no module 'no_such_module'"):
    main.run(c, tmp_path / 'run')


def test_a_sum_that_is_not_finite(toy, judges, tmp_path):
  (tmp_path / 'my_judges.py').write_text('def bad(response, row):\n  return 1e30\n')
  c = toy.rewarded(DEFAULT, rewards=(('my_judges:bad', 1e20), ('format', 1.0)))
  with pytest.raises(ValueError) as error:
    main.run(c, tmp_path / 'run')
  assert "the weighted sum 1e+50 of {'my_judges:bad': 1e+30, 'format': 0.0} is not finite" in step_of(str(error.value))
