"""Chat templates of one's own and what they are to know: as transformers renders them, and what is refused."""

import json

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers
import transformers

from vibethinker_jax.data.tokens import chat, chat_template, tokenizer as tokenizer_lib
from vibethinker_jax.data.tokens.hub_tokenizer import CHATML, HubTokenizer

# Qwen3's way: a name that it reads closes the thought before the response begins.
SWITCHED = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' + message.content.split('</think>')[-1].lstrip('\\n') + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
# DeepSeek-R1's way: the prompt itself opens the thought.
OPENED = (
  "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
  "{% elif m['role'] == 'user' %}"
  "{{ '<|User|>' + m['content'] }}{% else %}{{ '<|Assistant|>' + m['content'].split('</think>')[-1] + eos_token }}"
  "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}"
)
# SmolLM3's way: the system turn decides; and a block by which transformers finds the assistant's words.
BY_SYSTEM = (
  '  {% set ns = namespace(think=true) %}\n{% for m in messages %}'
  "{% if m.role == 'system' and '/no_think' in m.content %}{% set ns.think = false %}{% endif %}"
  "<|im_start|>{{ m.role }}\n{% generation %}{{ m.content.replace('/no_think', '') }}"
  '{% endgeneration %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n'
  '{% if not ns.think %}<think>\n\n</think>\n{% endif %}{% if style is defined %}{{ style }}{% endif %}'
  '{% endif %}'
)
ASKED = [
  [{'role': 'user', 'content': 'What is 1 + 1?'}],
  [{'role': 'system', 'content': 'Be terse. /no_think'}, {'role': 'user', 'content': ' <think> 4x\n'}],
]


@pytest.fixture(scope='module')
def files():
  """A byte-level BPE whose think tags are plain added tokens, as in published models."""
  bpe = tokenizers.Tokenizer(models.BPE())
  bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
  bpe.train_from_iterator(
    ['the thinking cat solves 4x + 2 = 10\n\nand the dog'] * 9,
    trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
  )
  bpe.add_special_tokens(['<|begin|>', '<|end|>', '<|im_start|>', '<|im_end|>'])
  bpe.add_tokens(['<think>', '</think>', '<|User|>', '<|Assistant|>'])
  settings = {
    'tokenizer_class': 'PreTrainedTokenizerFast',
    'chat_template': CHATML,
    'bos_token': '<|begin|>',
    'eos_token': '<|end|>',
    'pad_token': '<|end|>',
  }
  return {'tokenizer.json': bpe.to_str().encode(), 'tokenizer_config.json': json.dumps(settings).encode()}


@pytest.fixture
def template(tmp_path):
  """text -> path of a file with it."""

  def write(text, name='mine.jinja'):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)

  return write


def theirs(files, path):
  path.mkdir(exist_ok=True)
  for name, content in files.items():
    (path / name).write_bytes(content)
  return transformers.AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize(
  'text, kwargs',
  [
    (SWITCHED, {}),
    (SWITCHED, {'enable_thinking': False}),
    (SWITCHED, {'enable_thinking': True}),
    (OPENED, {}),
    (BY_SYSTEM, {}),
    (BY_SYSTEM, {'style': 'a "b" \'c\' \\boxed{%}\n é \U0001f600'}),
    (BY_SYSTEM, {'style': [1, {'a': None}]}),
  ],
)
def test_as_transformers(files, template, tmp_path, text, kwargs):
  """The replaced template, ours with its defaults against theirs that is told; and the saved files in transformers."""
  told = theirs(files | {'chat_template.jinja': text.encode()}, tmp_path / 'told')
  ours = chat_template.applied(HubTokenizer(files), template(text), kwargs)
  saved = theirs(ours.hub_files(), tmp_path / 'saved')
  for messages in ASKED:
    expected = told.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **kwargs)
    assert ours.render_chat(messages) == expected
    assert saved.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) == expected
    assert chat.encode_prompt(ours, {'prompt': messages}) == told.encode(expected, add_special_tokens=False)
    assert chat.render_prompt(ours, {'prompt': messages}) == expected
  again = tokenizer_lib.from_files(ours.files())  # a checkpoint's: asks the same without being told
  assert again.render_chat(ASKED[1]) == ours.render_chat(ASKED[1])


def test_applied_twice_is_the_same_and_others_can_still_be_told(files, template, tmp_path):
  off, on = {'enable_thinking': False}, {'enable_thinking': True}
  once = chat_template.applied(HubTokenizer(files), template(SWITCHED), off)
  assert chat_template.applied(once, template(SWITCHED), off).files() == once.files()
  assert chat_template.applied(once, '', off).files() == once.files()
  plain = chat_template.applied(HubTokenizer(files), template(SWITCHED), {})
  asked = plain.render_chat(ASKED[0])
  assert chat_template.applied(once, '', on).render_chat(ASKED[0]) == asked != once.render_chat(ASKED[0])
  saved = theirs(once.hub_files(), tmp_path / 'saved')
  assert saved.apply_chat_template(ASKED[0], add_generation_prompt=True, tokenize=False, **on) == asked
  assert chat_template.applied(once, '', {}) is once


@pytest.mark.parametrize(
  'name, text',
  [
    ('a.jinja', CHATML),
    ('chat_template.json', json.dumps({'chat_template': CHATML})),
    (
      'tokenizer_config.json',
      json.dumps(
        {
          'eos_token': 'x',
          'chat_template': [{'name': 'tool', 'template': 'x'}, {'name': 'default', 'template': CHATML}],
        }
      ),
    ),
  ],
)
def test_files_that_hold_a_template(template, name, text):
  assert chat_template.read(template(text, name)) == CHATML


@pytest.mark.parametrize(
  'text, kwargs, parts',
  [
    ('{% for %}', {}, ['mine.jinja', 'not valid']),
    ('', {}, ['no template in it']),
    ('{"a": 1}', {}, ['no template in it']),
    ("{{ raise_exception('never') }}", {}, ['mine.jinja', 'never']),
    ('<|im_start|>{{ eos_token }}', {}, ['does not show what the user says']),
    ('{% for m in messages %}{{ m.content }}{% endfor %}', {}, ['no control token follows', 'eos_token']),
    (CHATML.replace('im_start', 'start_header'), {}, ['<|start_header|>', 'no token of this tokenizer']),
    (SWITCHED, {'enable_thinkin': False}, ['never reads enable_thinkin', 'it reads enable_thinking']),
    (CHATML, {'enable_thinking': False}, ['never reads enable_thinking', 'no names']),
    (SWITCHED, {'messages': []}, ['never reads messages']),
  ],
)
def test_what_is_refused(files, template, text, kwargs, parts):
  with pytest.raises(ValueError) as error:
    chat_template.applied(HubTokenizer(files), template(text), kwargs)
  assert all(part in str(error.value) for part in ['chat_template', *parts]) and '\n' not in str(error.value)


def test_a_model_without_a_template_takes_one(files, template):
  """As base models are that know no ChatML either."""
  settings = json.loads(files['tokenizer_config.json'])
  del settings['chat_template']
  files = {
    'tokenizer.json': files['tokenizer.json'].replace(b'<|im_', b'<|at_'),
    'tokenizer_config.json': json.dumps(settings).encode(),
  }
  with pytest.raises(ValueError, match='no chat template .* give one, --chat_template=FILE'):
    tokenizer_lib.from_files(files)
  plain = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
  made = chat_template.applied(tokenizer_lib.from_files(files, bare=True), template(plain), {})
  assert made.render_chat(ASKED[0]) == 'What is 1 + 1?' and made.stop_ids == (made.controls['<|end|>'],)
  assert tokenizer_lib.from_files(made.files()).render_chat(ASKED[0]) == 'What is 1 + 1?'


def test_what_is_refused_without_a_file(files, tmp_path):
  with pytest.raises(ValueError, match='cannot be read'):
    chat_template.applied(HubTokenizer(files), str(tmp_path / 'none.jinja'), {})
  own = tokenizer_lib.train(['user assistant x'] * 9, 300)
  for path, kwargs in (('mine.jinja', {}), ('', {'enable_thinking': False})):
    with pytest.raises(ValueError, match='SentencePiece one, which has no chat template'):
      chat_template.applied(own, path, kwargs)


@pytest.mark.parametrize(
  'text, found',
  [
    ('', {}),
    ('enable_thinking=false', {'enable_thinking': False}),
    ('a=False, b=1.5,c=x y', {'a': False, 'b': 1.5, 'c': 'x y'}),
    ('a=[1,2],b="3",c=d,e', {'a': [1, 2], 'b': '3', 'c': 'd,e'}),
    ('{"a": {"b": null}}', {'a': {'b': None}}),
  ],
)
def test_kwargs_of_a_command_line(text, found):
  assert chat_template.parse(text) == found


@pytest.mark.parametrize('text', ['enable_thinking', '=1', 'a=1,a=2', '{"a": }', 'a b=1'])
def test_kwargs_that_are_none(text):
  with pytest.raises(ValueError, match='chat_template_kwargs='):
    chat_template.parse(text)
