"""Where a response ends at a stop string: a function of its text, not of when one looks."""

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from vibethinker_jax.data.tokens import stops, tokenizer

TEXT = 'So é€漢 is 12.\n\nQuestion: why 😀? </answer> end'


def byte_level():
  """A token for every byte and some for pairs of bytes, also of halves of characters."""
  letters = sorted(pre_tokenizers.ByteLevel.alphabet())
  pairs = [a + b for a, b in zip('QeaiÃâĠ', 'uśxsŀĤi') if a in letters and b in letters]
  made = tokenizers.Tokenizer(models.BPE({piece: i for i, piece in enumerate(letters + pairs)}, []))
  made.decoder = decoders.ByteLevel()
  return made


@pytest.fixture(scope='module')
def decoders_of():
  trained = tokenizer.train([f'So once is 12. Question why end {i} apples' for i in range(200)], 320)
  own = tokenizers.Tokenizer.from_str(trained.hub_files()['tokenizer.json'].decode())
  hub = byte_level()
  return {
    'sentencepiece': (trained.encode, trained.decode, trained.vocab_size),
    'byte_fallback': (lambda text: own.encode(text).ids, lambda ids: own.decode([int(i) for i in ids]), 320),
    'byte_level': (None, lambda ids: hub.decode([int(i) for i in ids]), hub.get_vocab_size()),
  }


def first_end(decode, tokens, wanted):
  """The definition: the fewest tokens whose text has a stop string."""
  return next((n for n in range(1, len(tokens) + 1) if any(s in decode(tokens[:n]) for s in wanted)), 0)


def asked(find, tokens, step):
  """What `find` gives when it is asked every `step` tokens."""
  for old in range(0, len(tokens), step):
    seen = tokens[: old + step]
    if n := find(0, 0, seen, len(seen) - old):
      return n
  return 0


@pytest.mark.parametrize(
  'wanted', [('\n\nQuestion:',), ('漢',), ('😀?', ' is 1'), ('</answer>', 'zzz'), ('é€',)], ids=str
)
@pytest.mark.parametrize('kind', ['sentencepiece', 'byte_fallback'])
def test_across_token_borders_and_bytes(decoders_of, kind, wanted):
  encode, decode, _ = decoders_of[kind]
  tokens = np.array(encode('once ' * 9 + TEXT))
  expected = first_end(decode, tokens, wanted)
  assert 0 < expected < len(tokens) and len(encode(wanted[0])) > 1
  find = stops.finder(decode, wanted)
  assert {asked(find, tokens, step) for step in (1, 2, 3, 7, 16, 500)} == {expected}
  text = decode(tokens[:expected])
  assert stops.cut(text, wanted) == text[: min(text.find(s) for s in wanted if s in text)] != text


@pytest.mark.parametrize('kind', ['sentencepiece', 'byte_fallback', 'byte_level'])
def test_of_any_tokens_at_all(decoders_of, kind):
  """Random ids: torn characters, control tokens, nothing that looks like text. Found in many, at the same place however
  often one looks."""
  _, decode, size = decoders_of[kind]
  rng, ends = np.random.default_rng(0), []
  for trial in range(120):
    tokens = rng.integers(0, size, 60)
    if trial % 2:  # runs of bytes alone: what decodes one torn run may not be read from its middle
      tokens = rng.choice(rng.integers(0, size, 5), 60)
    text = decode(tokens)
    place = int(rng.integers(0, max(1, len(text) - 4)))
    wanted = tuple(s for s in (text[place : place + 3], 'Qu', 'e') if s and stops.LOST not in s)
    expected = first_end(decode, tokens, wanted)
    find = stops.finder(decode, wanted)
    assert {asked(find, tokens, step) for step in (1, 3, 8, 60)} == {expected}, (trial, wanted)
    ends.append(expected)
  assert sum(n > 8 for n in ends) > 20


def test_a_long_response_is_not_decoded_again_and_again(decoders_of):
  encode, decode, _ = decoders_of['sentencepiece']
  tokens, seen = np.array(encode('12 apples ' * 400)), []
  find = stops.finder(lambda ids: (seen.append(len(ids)), decode(ids))[1], ('</answer>',))
  assert find(0, 0, tokens, 4) == 0 and max(seen) < 60


def test_what_is_shown_is_never_taken_back():
  for n in range(len(TEXT) + 1):
    shown = stops.settled(TEXT[:n], ('</answer>', '\n\nQ:'))
    assert (TEXT[: TEXT.find('</answer>')]).startswith(shown) and n - len(shown) < 9 or n > TEXT.find('</answer>') + 8
  assert stops.settled('a\n\n', ('\n\nQ:',)) == 'a' and stops.settled('aé' + stops.LOST, ()) == 'aé'


def test_the_flag():
  assert stops.read('\\n\\nQuestion:,</answer>') == ('\n\nQuestion:', '</answer>')
  assert stops.read(' so\\, ,\n') == (' so, ', '\n') and stops.read('') == ()  # spaces and commas of a text count
  for bad in ('a,', ',', 'a' + stops.LOST):
    with pytest.raises(ValueError, match='which says nothing'):
      stops.read(bad)
  assert stops.finder(str, ()) is None


@pytest.mark.parametrize('files', ['files', 'hub_files'])
def test_a_control_token_is_a_stop_string_too(files):
  """No text shows it, so that it would never be found there."""
  trained = tokenizer.train([f'So once is {i}. Question why' for i in range(200)], 320)
  made = tokenizer.from_files(getattr(trained, files)())
  start = made.controls['<|im_start|>']
  assert stops.ids(made, ('<|im_start|>', 'is')) == tuple(sorted({start, *made.stop_ids}))
  assert stops.ids(made, ()) == made.stop_ids and start not in made.stop_ids
  with pytest.raises(ValueError, match=r'is a control token of this model, which is no text: give it alone'):
    stops.ids(made, ('<|im_start|>user',))
