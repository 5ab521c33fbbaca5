"""The same file asks the same tokens, whatever asks; and what a stage asks is shown before it runs."""

import json
import logging
import pathlib
import types

import pytest

from vibethinker_jax import sharding
from vibethinker_jax.data import loader, sources
from vibethinker_jax.data.tokens import chat, tokenizer as tokenizer_lib
from vibethinker_jax.eval import collect, sets
from vibethinker_jax.eval.journal import Journal
from vibethinker_jax.eval.pages import report
from vibethinker_jax.programs import (
  asked,
  distill,
  evaluate,
  filter as filter_lib,
  inputs,
  probe,
  rl,
  stage as stage_lib,
)
from vibethinker_jax.rl.loss import LossOptions
from vibethinker_jax.sampler import engine

GPQA = [
  {
    'Question': f'Which of {i} is red?',
    'Correct Answer': 'blood',
    'Incorrect Answer 1': 'grass',
    'Incorrect Answer 2': 'sky',
    'Incorrect Answer 3': 'snow',
    'Record ID': f'r{i}',
  }
  for i in range(3)
]
STARTER = 'class Solution:\n    def addTwo(self, a: int, b: int) -> int:\n        '
CASES = {'functional': '1\n2', 'stdin': '1 2\n'}
LCB = [
  {
    'question_title': 't',
    'question_content': f'Sum, {kind}.',
    'platform': 'x',
    'question_id': kind,
    'contest_id': 'c',
    'contest_date': '2025-03-01T00:00:00',
    'starter_code': STARTER * (kind == 'functional'),
    'difficulty': 'easy',
    'public_test_cases': json.dumps([{'input': given, 'output': '3', 'testtype': kind}]),
    'private_test_cases': '[]',
    'metadata': '{}',
  }
  for kind, given in CASES.items()
]
TESTS = {'cases': [{'input': '1', 'output': '1'}]}
PLAIN = [
  {'id': 'maths', 'problem': 'What is 2+3?', 'answer': '5'},
  {
    'id': 'chat',
    'prompt': [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'And 2+4?'}],
    'answer': '6',
  },
  {'id': 'choice', 'question': 'Which?', 'choices': ['p', 'q'], 'answer': 'B'},
  {'id': 'stdin', 'problem': 'Echo.', 'tests': TESTS},
  {
    'id': 'starter',
    'problem': 'Add.',
    'starter_code': STARTER,
    'tests': {'function': 'addTwo', 'cases': [{'args': [1, 2], 'expected': 3}]},
  },
  {'id': 'named', 'problem': 'Add.', 'tests': {'asserts': ['assert addThree(1) == 4']}},
  {'id': 'constraints', 'prompt': 'Write.', 'constraints': [{'kind': 'words', 'max': 5}], 'answer': 'x'},
]
SAMPLER = engine.Options(8, 1.0, 1.0, slots=4)


class Asked(Exception):
  """Raised in place of sampling, with the token ids."""


@pytest.fixture(scope='module')
def tokenizer():
  return tokenizer_lib.train(('user', 'assistant', 'system', 'What is red? sum in box'), 300)


@pytest.fixture
def stage(tmp_path, tokenizer, monkeypatch):
  """A stage of no recipe in particular, whose model samples nothing."""

  def generate(config, params, request, *_, **__):
    raise Asked([list(map(int, ids)) for ids in request.prompts])

  model = stage_lib.Model(types.SimpleNamespace(max_position_embeddings=0), None, tokenizer)
  monkeypatch.setattr(engine, 'generate', generate)
  for program in (filter_lib, distill, evaluate):
    monkeypatch.setattr(program, 'open_model', lambda *_: model)
  monkeypatch.setattr(evaluate, 'identity', lambda *_: {})
  recipe = types.SimpleNamespace(seed=0, domains=(), templates=(), stages=('it', 'later'), rehearsal=False)
  (tmp_path / 'it').mkdir()
  return stage_lib.Stage('it', tmp_path / 'it', tmp_path, {'it': {}}, recipe, sharding.make_mesh(), None)


def write(path: pathlib.Path, rows) -> str:
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def tokens_of(function) -> list:
  with pytest.raises(Asked) as caught:
    function()
  return sorted(caught.value.args[0])


def of_stages(stage, data: sources.DataOptions, tokenizer) -> dict:
  """{program: the token ids that it hands to the engine}."""
  model = stage_lib.Model(types.SimpleNamespace(max_position_embeddings=0), None, tokenizer)
  teacher = distill.TeacherOptions(('a',), data)
  return {
    name: tokens_of(function)
    for name, function in {
      'probe': lambda: probe.probe_model(stage, probe.Options('probe', 'x', (), 0, 1, 1, SAMPLER, data), model),
      'rl': lambda: rl.starting_prompts(
        stage,
        rl.Options('rl', 'x', data, (), (), 0, 1, 1, 2, SAMPLER, LossOptions(), 64, 8, 1e-6, 1, filter_samples=2),
        model,
      ),
      'distill': lambda: distill.run(stage, distill.Options('distill', 'x', {'d': teacher}, SAMPLER, 1, 64, 8)),
      'evaluate': lambda: respond(stage, data),
    }.items()
  }


def respond(stage, data):
  options = evaluate.Options('evaluate', ('init',), (), 0, 1, (1,), SAMPLER, data=data)
  evaluate.respond(stage, options, 'init', evaluate.problems(stage, options), show=True)


def of_command(path: str, preset: str, stage, tokenizer) -> list:
  """What `evaluate` asks of the same file (that its flags lead here: test_doors)."""
  model = stage_lib.Model(None, None, tokenizer)
  chosen = sets.read(sources.DataOptions(path), preset, sets.OF_PRESET if preset else sets.Protocol(4, 1.0, 0.95, 256))
  return tokens_of(
    lambda: collect.sample(
      model,
      chosen._replace(samples=1),
      SAMPLER,
      key=None,
      mesh=stage.mesh,
      journal=Journal(stage.directory / f'with{preset}'),
      pool=None,
    )
  )


@pytest.mark.parametrize(
  'rows, preset',
  [(GPQA, 'gpqa_diamond'), (LCB, 'livecodebench_v6'), (PLAIN[:2], 'aime24'), (PLAIN, '')],
  ids=['gpqa', 'lcb', 'maths', 'mixed'],
)
def test_every_program_asks_the_same_tokens(stage, tokenizer, rows, preset, tmp_path):
  path = write(tmp_path / 'set.jsonl', rows)
  found = of_stages(stage, sources.DataOptions(path), tokenizer)
  found |= {'command': of_command(path, '', stage, tokenizer), 'preset': of_command(path, preset, stage, tokenizer)}
  for name, ids in found.items():
    assert ids == found['command'], name
  assert len(found['command']) == len(rows) == len(set(map(tuple, found['command'])))
  told = ' '.join(tokenizer.show(ids) for ids in found['command'])
  if rows is GPQA:
    assert told.count('A) ') == told.count('letter of the right option') == 3 and told.count('snow') == 3
  if rows is LCB:
    assert told.count(STARTER) == 1 == told.count('from stdin')


def test_training_and_filtering_ask_them_too(stage, tokenizer, tmp_path):
  path = write(tmp_path / 'set.jsonl', [row | {'responses': ['It is \\boxed{5}.', 'x']} for row in PLAIN])
  data = sources.DataOptions(path, response='responses')
  wanted = of_command(path, '', stage, tokenizer)
  examples = sources.FileExamples(data)
  assert sorted(prompt_ids(tokenizer, examples[2 * i + j]) for i in range(len(PLAIN)) for j in (0, 1)) == sorted(
    wanted * 2
  )
  options = filter_lib.Options('filter', 'x', data, SAMPLER, samples=1, min_response_tokens=0)
  assert tokens_of(lambda: filter_lib.run(stage, options)) == wanted


def prompt_ids(tokenizer, example) -> list:
  """The ids that are no target, of what the loader trains on."""
  encoded = loader.encode(tokenizer, example)
  length = encoded['mask'].argmax() + 1
  assert not encoded['mask'][: length - 1].any() and encoded['mask'][length - 1 :].all()
  return encoded['tokens'][:length].tolist()


@pytest.mark.parametrize('options', [{}, {'wording': 'none'}, {'prompt': '{id}: go on.'}], ids=str)
def test_what_was_kept_is_trained_on_as_it_was_asked(stage, tokenizer, tmp_path, options):
  """The stage that reads it may have another prompt and wording: they are not of this file."""
  path = write(tmp_path / 'set.jsonl', [row | {'responses': ['It is \\boxed{5}.']} for row in PLAIN])
  data = sources.DataOptions(path, response='responses', **options)
  filter_lib.run(stage, filter_lib.Options('filter', 'x', data, SAMPLER, samples=0, min_response_tokens=0))
  wanted = sorted(chat.encode_prompt(tokenizer, trace) for trace in sources.read_traces(data))
  for changes in ({}, {'prompt': '{prompt} Again.'}, {'wording': 'none'}):
    later = inputs.resolve(stage, sources.DataOptions('it', **changes))
    examples = sources.FileExamples(later)
    assert sorted(prompt_ids(tokenizer, examples[i]) for i in range(len(examples))) == wanted
    problems = sources.read_problems(later)
    assert sorted(chat.encode_prompt(tokenizer, row) for row in problems) == wanted


def test_the_first_prompt_of_each_kind_is_shown(stage, tokenizer, tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(logging.getLogger('vibethinker_jax'), 'propagate', True)
  caplog.set_level(logging.INFO, 'vibethinker_jax')
  long = {'id': 'long', 'problem': 'See <b>here</b> & ' + 'so ' * 2000 + 'on.', 'answer': '1'}
  with pytest.raises(Asked):
    respond(stage, sources.DataOptions(write(tmp_path / 'set.jsonl', [long, *PLAIN])))
  shown = json.loads((stage.directory / asked.NAME).read_text())
  assert [x['kind'] for x in shown] == ['maths', 'choice', 'stdin', 'function', 'other'] and caplog.text.count(
    'the first prompt ('
  ) == 5
  maths, choice = shown[:2]
  assert (
    maths['text'].startswith('<|im_start|>user\nSee <b>')
    and maths['text'].endswith('within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n')
    and len(maths['text']) < 1600
    and 'left out' in maths['text']
  )
  assert choice['tokens'] == len(
    tokenizer.encode_chat(
      [
        {
          'role': 'user',
          'content': (
            "Which?\n\nA) p\nB) q\n\nLet's think step by step and output the letter of the right option within "
            '\\boxed{}.'
          ),
        }
      ]
    )
  )
  said = [record.getMessage() for record in caplog.records if 'first prompt' in record.getMessage()][1]
  assert said.startswith(
    f'stage it: the first prompt (choice), {choice["tokens"]} tokens:\n  | <|im_start|>user\n  | Which?'
  )
  page = report.render(tmp_path, {'stages': ('it',), 'it': {'program': 'evaluate'}})
  assert 'What the model is asked' in page and '&lt;|im_start|&gt;user\nSee &lt;b&gt;here&lt;/b&gt; &amp; so' in page
  assert f'it: choice, {choice["tokens"]} tokens' in page and '<b>here' not in page


def test_examples_and_synthetic_problems_are_shown(stage, tokenizer, tmp_path):
  files = sources.FileExamples(
    sources.DataOptions(
      write(
        tmp_path / 'x.jsonl',
        [{'prompt': 'Hi', 'responses': ['a', 'b']}, {'problem': 'q', 'answer': '1', 'response': 'c'}],
      ),
      response='response|responses',
    )
  )
  made = sources.SyntheticExamples(('code', 'algebra', 'code'), (1,), 0, 10)
  found = asked.first_examples([files, made])
  assert {kind: row['response'] for kind, row in found.items() if kind != 'function'} == {'other': 'a', 'maths': 'c'}
  assert found['function'] == made[0]
  asked.show(stage, tokenizer, found)
  assert len(json.loads((stage.directory / asked.NAME).read_text())) == 3
