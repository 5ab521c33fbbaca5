"""What a model is asked, token by token: system turn, prefix, what the response is begun with, and what is trained."""

import json
import logging

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from vibethinker_jax.data.tokens import chat, tokenizer as tokenizer_lib
from vibethinker_jax.data.tokens.hub_tokenizer import CHATML, HubTokenizer

GENERATION = '<|im_start|>assistant\n{% endif %}'
THINKING = CHATML.replace(GENERATION, '<|im_start|>assistant\n<think>\n{% endif %}')
CLOSED = CHATML.replace(GENERATION, '<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}')
TEMPLATES = {'plain': CHATML, 'thinking': THINKING, 'closed': CLOSED}
ROW = {'prompt': 'What is 1 + 1?'}
WHOLE = '<think>\nOne and one.\n</think>\n\n\\boxed{2}'


@pytest.fixture(scope='module')
def own():
  return tokenizer_lib.train(['user assistant What is 1 + 1? One and one'] * 9, 300)


@pytest.fixture(scope='module')
def hub():
  """name of a template -> a tokenizer with it."""
  bpe = tokenizers.Tokenizer(models.BPE())
  bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
  bpe.train_from_iterator(
    ['user assistant What is 1 + 1?\n\nOne and one\n\n'] * 9,
    trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
  )
  bpe.add_special_tokens(['<|im_start|>', '<|im_end|>', '<|channel|>'])
  bpe.add_tokens(['<think>', '</think>'])
  return lambda name: HubTokenizer(
    {'tokenizer.json': bpe.to_str().encode(), 'chat_template.jinja': TEMPLATES[name].encode()}
  )


def trained(tokenizer, row):
  """(the prompt with control tokens shown, the text that is trained) of an example, after a look at its mask."""
  ids, mask = chat.encode_example(tokenizer, row)
  start = mask.index(1)
  assert mask == [0] * start + [1] * (len(ids) - start) and ids[-1] == tokenizer.end_id
  assert ids[:start] == chat.encode_prompt(tokenizer, row)  # training asks what sampling asks
  assert chat.render_prompt(tokenizer, row) == tokenizer.show(ids[:start])
  return tokenizer.show(ids[:start]), tokenizer.decode(ids[start:-1])


def test_prefix_is_asked_and_not_trained(own, hub):
  system = [{'role': 'system', 'content': 'Be <|im_end|> terse.'}, {'role': 'user', 'content': 'What is 1 + 1?'}]
  for tokenizer in (own, hub('plain')):
    asked, learned = trained(tokenizer, {'prompt': system, 'prefix': '<think>\n', 'response': WHOLE})
    assert asked == (
      '<|im_start|>system\nBe <|im_end|> terse.<|im_end|>\n<|im_start|>user\nWhat is 1 + 1?<|im_end|>\n'
      '<|im_start|>assistant\n<think>\n'
    )
    assert learned == WHOLE.removeprefix('<think>\n')
    # The seam: each part by itself, whatever a tokenizer would merge over it.
    row = ROW | {'prefix': 'One', 'response': 'One and one'}
    without = chat.encode_prompt(tokenizer, ROW)
    assert chat.encode_example(tokenizer, row)[0] == [
      *without,
      *tokenizer.encode('One'),
      *tokenizer.encode(' and one'),
      tokenizer.end_id,
    ]
    assert chat.opening(tokenizer, row) == 'One' and chat.opening(tokenizer, ROW) == ''


def test_a_prefix_may_have_control_tokens(hub):
  row = ROW | {'prefix': '<|channel|>final'}
  assert chat.render_prompt(hub('plain'), row).endswith('assistant\n<|channel|>final')
  channel, *final = chat.encode_prompt(hub('plain'), row)[len(chat.encode_prompt(hub('plain'), ROW)) :]
  assert hub('plain').show([channel]) == '<|channel|>' and final == hub('plain').encode('final')


@pytest.mark.parametrize(
  'name, prefix, response, said, learned',
  [
    ('thinking', '', WHOLE, '<think>\n', WHOLE[8:]),
    ('thinking', '', WHOLE[8:], '<think>\n', WHOLE[8:]),
    ('thinking', '', '<think>One</think>2', '<think>\n', 'One</think>2'),
    ('thinking', '', '\n<think>\n\nOne</think>2', '<think>\n', 'One</think>2'),
    ('thinking', 'Okay', '<think>\nOkay, one</think>2', '<think>\nOkay', ', one</think>2'),
    ('thinking', 'Okay', 'Okay, one</think>2', '<think>\nOkay', ', one</think>2'),
    ('closed', '', '\\boxed{2}', '', '\\boxed{2}'),
    ('closed', '', '<think>\n\n</think>\n\n\\boxed{2}', '', '\\boxed{2}'),
    ('closed', '', '<think></think>\\boxed{2}', '', '\\boxed{2}'),
    ('closed', 'So ', 'So 2', 'So ', '2'),
    ('plain', '<think>\n', '<think>\nOne</think>2', '<think>\n', 'One</think>2'),
    ('plain', '<think>\n', 'One</think>2', '<think>\n', 'One</think>2'),
    ('plain', '<think>', '<think>\nOne</think>2', '<think>', '\nOne</think>2'),
    ('plain', '', WHOLE, '', WHOLE),
    ('plain', 'So 1', '2', 'So 1', '2'),
  ],
)
def test_nothing_is_said_twice(hub, name, prefix, response, said, learned):
  tokenizer, row = hub(name), ROW | {'response': response} | ({'prefix': prefix} if prefix else {})
  assert chat.opening(tokenizer, row) == said
  assert trained(tokenizer, row)[1] == learned
  # What is stored of a sample is trained as it was sampled.
  stored = chat.opening(tokenizer, row) + learned
  assert trained(tokenizer, row | {'response': stored})[1] == learned


def test_what_the_prompt_opens_is_judged_with_the_response():
  from vibethinker_jax.verify import math

  text = 'One \\boxed{3}</think>\\boxed{2}'
  assert math.verify('<think>\n' + text, '2').status == 'correct' == math.verify(text, '2').status
  # Never closed: only with its opening is this seen.
  assert math.verify('<think>\nso \\boxed{2}', '2').status == 'wrong' != math.verify('so \\boxed{2}', '2').status


def test_a_thought_that_would_be_opened_twice_is_refused(hub):
  for name in ('thinking', 'closed'):
    with pytest.raises(ValueError, match='does so already'):
      chat.encode_prompt(hub(name), ROW | {'prefix': '<think>\n'})


def test_a_template_that_leaves_the_system_turn_out_is_told(hub):
  deaf = HubTokenizer(
    hub('plain').files()
    | {
      'chat_template.jinja': (
        b"{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
      )
    }
  )
  chat.encode_prompt(deaf, ROW)
  with pytest.raises(ValueError, match="leaves out 'Be terse.'.*data.prompt"):
    chat.encode_prompt(deaf, {'prompt': [{'role': 'system', 'content': 'Be terse.'}, {'role': 'user', 'content': 'x'}]})
  default = HubTokenizer(
    hub('plain').files()
    | {
      'chat_template.jinja': (
        b"{% if messages[0].role != 'system' %}<|im_start|>Be terse.<|im_end|>{% endif %}"
        b'{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}'
      )
    }
  )
  chat.encode_prompt(
    default, {'prompt': [{'role': 'system', 'content': 'Be terse.'}, {'role': 'user', 'content': 'x'}]}
  )


def examples(*responses, **more):
  return [[ROW | more | {'response': response} for response in responses]]


def test_responses_that_do_not_go_on_are_counted(hub, caplog):
  with caplog.at_level(logging.WARNING):
    chat.check_examples(hub('thinking'), examples(WHOLE, 'One</think>2', '<think>cut off'), 'sft')
    chat.check_examples(hub('closed'), examples('2', '<think></think>2'), 'sft')
    chat.check_examples(hub('plain'), examples(WHOLE, '2'), 'sft')
    chat.check_examples(hub('plain'), examples('So 2', 'So 3', prefix='So '), 'sft')
  assert not caplog.records
  with caplog.at_level(logging.WARNING):
    chat.check_examples(hub('thinking'), examples(WHOLE, 'Just 2', 'Just 3'), 'sft')
    chat.check_examples(hub('closed'), examples(WHOLE), 'sft')
    chat.check_examples(hub('plain'), examples('So 2', 'It is 3', prefix='So '), 'sft')
  first, second, third = (record.getMessage() for record in caplog.records)
  assert "'sft': 2 of 3 responses" in first and 'have no </think>' in first and "'Just 2'" in first
  assert '1 of 1' in second and 'think again' in second
  assert '1 of 2' in third and 'do not begin with the prefix' in third and "'It is 3'" in third


def test_responses_that_never_close_the_thought_are_refused(hub):
  for name, more in (('thinking', {}), ('plain', {'prefix': '<think>\n'})):
    with pytest.raises(ValueError, match="stage 'sft': 2 of 2 responses .*no </think>.*Take another prefix"):
      chat.check_examples(hub(name), examples('Just 2', 'Just 3', **more), 'sft')


def test_think_tags_are_text_where_a_model_has_them_as_control_tokens(hub):
  files = hub('plain').files()
  values = json.loads(files['tokenizer.json'])
  for token in values['added_tokens']:
    token['special'] = True
  special = HubTokenizer(files | {'tokenizer.json': json.dumps(values).encode()})
  assert special.encode(WHOLE) == hub('plain').encode(WHOLE) and special.decode(special.encode(WHOLE)) == WHOLE
  assert special.decode([special.end_id]) == ''
