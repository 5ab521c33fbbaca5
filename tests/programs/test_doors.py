"""The same row asks the same tokens through every door: each stage of a recipe, and the commands."""

import json
import subprocess
import sys

import jax
import pytest

from vibethinker_jax import main, sharding
from vibethinker_jax.data import loader
from vibethinker_jax.data.tokens import chat, tokenizer as tokenizer_lib
from vibethinker_jax.model import config as model_config, transformer
from vibethinker_jax.model.formats import hf
from vibethinker_jax.programs import recipe as recipe_lib, stage as stage_lib
from vibethinker_jax.sampler import engine

TEMPLATE = (
  '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}'
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% if mood is defined %}({{ mood }}) {% endif %}'
  '{% endif %}'
)
ASK = 'What is 3 + 3? Put the answer within \\boxed{}.'
ROW = {'problem': ASK, 'answer': '6', 'response': '<think>\n3 and 3 are 6.\n</think> \\boxed{6}', 'domain': 'sums'}
SYSTEM, PREFIX, MOOD = 'Be terse about {domain}.', '<think>\n', 'calm'
ASKED = (
  f'<|im_start|>system\nBe terse about sums.<|im_end|>\n<|im_start|>user\n{ASK}<|im_end|>\n'
  '<|im_start|>assistant\n(calm) <think>\n'
)
KINDS = ('sft', 'probe', 'rl_code', 'hard', 'distill', 'evaluate')


class Asked(Exception):
  """Ends a program where it would begin to sample; its argument: the prompts."""


@pytest.fixture(scope='module')
def base(tmp_path_factory):
  """A Hugging Face directory with ChatML; the template file and the rows beside it."""
  folder = tmp_path_factory.mktemp('doors')
  trained = tokenizer_lib.train([f'What is {i} + {i}? It is {2 * i}. user assistant' for i in range(300)], 300)
  config = model_config.from_dict(
    dict(
      vocab_size=320,
      hidden_size=16,
      num_hidden_layers=1,
      num_attention_heads=2,
      num_key_value_heads=1,
      head_dim=8,
      intermediate_size=24,
      max_position_embeddings=1024,
    )
  )
  hf.save(
    folder / 'model', config, transformer.init(config, jax.random.key(3)), files=trained.hub_files(), dtype='float32'
  )
  (folder / 'mine.jinja').write_text(TEMPLATE)
  (folder / 'rows.jsonl').write_text(json.dumps(ROW) + '\n')
  return folder


@pytest.fixture
def config(toy, base):
  config = toy.config()
  data = config['sft']['data'] | dict(files=str(base / 'rows.jsonl'), system=SYSTEM, prefix=PREFIX)
  config |= dict(
    base=str(base / 'model'),
    model={},
    chat_template=str(base / 'mine.jinja'),
    chat_template_kwargs={'mood': MOOD},
    stages=KINDS,
  )
  sampler = config['probe']['sampler']
  config['hard'] = dict(
    program='filter', init_from='base', data=data, sampler=sampler, samples=2, min_error_rate=0.5, min_response_tokens=1
  )
  config['distill'] = dict(
    program='distill',
    init_from='base',
    sampler=sampler,
    samples=2,
    row_length=512,
    micro_batch=8,
    min_response_tokens=1,
    teachers={'sums': dict(models=('base',), data=data)},
  )
  config['sft'].update(init_from='base')
  config['rl_code'].update(init_from='base', problems=0, prompts=1)
  config['evaluate'].update(models=('init',), problems=0)
  for name in KINDS:
    if 'data' in config[name]:
      config[name]['data'] = data
  for name in ('merge', 'rl_math_16k', 'rl_math_32k', 'tokenizer', 'templates', 'domains'):
    del config[name]
  return config


@pytest.fixture
def enter(toy, config, tmp_path, monkeypatch):
  """name of a stage -> the token ids of the prompts that it asks."""

  def ask(config, params, request, *rest, **more):
    raise Asked(request.prompts)

  def examples(mixture, tokenizer, **more):
    found = []
    for source in mixture.sources:
      for i in range(len(source)):
        document = loader.encode(tokenizer, source[i])
        found.append(document['tokens'][: int(document['mask'].argmax()) + 1].tolist())
    raise Asked(found)

  monkeypatch.setattr(engine, 'generate', ask)
  monkeypatch.setattr(loader, 'sft_batches', examples)

  def run(name):
    recipe, options = recipe_lib.bind(config)
    mesh = sharding.make_mesh(**recipe.mesh)
    stage = stage_lib.Stage(name, tmp_path / name, tmp_path, config, recipe, mesh, toy.CoinPool())
    stage.directory.mkdir()
    program = recipe_lib.PROGRAMS[config[name]['program']]
    with jax.set_mesh(stage.mesh), pytest.raises(Asked) as asked:
      if name == 'probe':  # its model is one of the checkpoints of a stage
        program.probe_model(stage, options[name], stage_lib.open_model(stage, 'base'))
      program.run(stage, options[name])
    return asked.value.args[0]

  return run


def tokens(base):
  """What every door is to ask, as transformers' template and the seams of data.chat have it."""
  hub = tokenizer_lib.load(base / 'model')
  return [*hub.encode_marked(ASKED.removesuffix(PREFIX)), *hub.encode(PREFIX)]


def test_every_stage_asks_the_same_tokens(enter, base, config):
  config['probe']['init_from'] = 'sft'
  config['chat_template_kwargs'] = f'mood={MOOD}'  # as of a flag
  assert {name: enter(name) for name in KINDS} == {name: [tokens(base)] for name in KINDS}


COMMAND = """
import sys
from absl import app
import vibethinker_jax.{name} as command
from vibethinker_jax.sampler import engine
def ask(config, params, request, *rest, **more):
  print('ASKED', request.prompts)
  raise SystemExit(0)
engine.generate = ask
sys.argv = [{name!r}, *sys.argv[1:]]
app.run(command.main, flags_parser=command.config_lib.parse_flags)
"""


def command(name, *arguments):
  done = subprocess.run(
    [sys.executable, '-c', COMMAND.format(name=name), *arguments], capture_output=True, text=True, timeout=600
  )
  asked = [line for line in done.stdout.splitlines() if line.startswith('ASKED')]
  return json.loads(asked[0].removeprefix('ASKED ')) if asked else done.stderr


def test_the_commands_ask_the_same_tokens(base, tmp_path):
  model, given = (
    f'--checkpoint={base}/model',
    ['--prefix=<think>\\n', f'--chat_template={base}/mine.jinja', f'--chat_template_kwargs=mood={MOOD}'],
  )
  asked = command(
    'evaluate', model, f'--data={base}/rows.jsonl', f'--system={SYSTEM}', *given, f'--output={tmp_path}/out'
  )
  assert asked == [tokens(base)]
  assert command('sample', model, f'--prompt={ROW["problem"]}', '--system=Be terse about sums.', *given) == [
    tokens(base)
  ]


@pytest.mark.slow
def test_a_checkpoint_asks_as_it_was_trained(toy, base, config, tmp_path, monkeypatch):
  """Two steps of SFT, then the stage's directory and the Hugging Face directory made of it: nobody tells them again."""
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  rows = [ROW | {'problem': f'What is {i} + 3?'} for i in range(16)]
  (tmp_path / 'many.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
  config['sft'].update(
    steps=2, checkpoint_steps=2, data=config['sft']['data'] | dict(files=str(tmp_path / 'many.jsonl'))
  )
  config['probe']['init_from'] = 'sft'
  main.run(config, tmp_path / 'run', ('sft',))
  asked = lambda path, kwargs=None: chat.render_prompt(
    stage_lib.asking(path, '', kwargs or {}) or stage_lib.read_tokenizer(path),
    ROW
    | {
      'prefix': PREFIX,
      'prompt': [{'role': 'system', 'content': 'Be terse about sums.'}, {'role': 'user', 'content': ROW['problem']}],
    },
  )
  assert asked(tmp_path / 'run' / 'sft') == ASKED
  assert asked(tmp_path / 'run' / 'sft', {'mood': 'loud'}) == ASKED.replace('calm', 'loud')
  done = subprocess.run(
    [sys.executable, '-m', 'vibethinker_jax.convert', f'--source={tmp_path}/run/sft', f'--target={tmp_path}/hf'],
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert done.returncode == 0, done.stderr
  assert asked(tmp_path / 'hf') == ASKED
  # Another template, or the same file with other words in it, is another recipe.
  with pytest.raises(ValueError, match='chat_template_kwargs.mood: .calm. -> .loud.'):
    main.run(config | {'chat_template_kwargs': {'mood': 'loud'}}, tmp_path / 'run', ('sft',))
  changed = tmp_path / 'other.jinja'
  changed.write_text(TEMPLATE + ' ')
  with pytest.raises(ValueError, match='another config.*\n.*chat_template: '):
    main.run(config | {'chat_template': str(changed)}, tmp_path / 'run', ('sft',))


@pytest.mark.parametrize(
  'changes, parts',
  [
    ({'chat_template': 'nowhere.jinja'}, ['config.chat_template=', 'nowhere.jinja', 'cannot be read']),
    ({'chat_template_kwargs': {'moood': 1}}, ['config.chat_template_kwargs', 'never reads moood', 'it reads mood']),
    ({'chat_template_kwargs': 'mood'}, ["config.chat_template_kwargs='mood'", 'must be NAME=VALUE']),
    ({'base': 'scratch', 'tokenizer': {}, 'domains': ('algebra',)}, ['config.chat_template=', 'SentencePiece']),
  ],
)
def test_mistakes_are_found_before_anything_runs(toy, config, tmp_path, changes, parts):
  config['probe']['init_from'] = 'sft'
  config |= changes
  if config['base'] == 'scratch':
    config['model'] = toy.config()['model']
  with pytest.raises(ValueError) as error:
    main.run(config, tmp_path / 'run')
  assert all(part in str(error.value) for part in parts) and not (tmp_path / 'run').exists()
