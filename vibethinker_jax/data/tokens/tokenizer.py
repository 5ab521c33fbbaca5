"""Tokenizers: SentencePiece with control tokens of our own, or those of Hugging Face models.

Control tokens are ids, never text: nothing in a problem can be encoded to one.
"""

import io
import itertools
import json
import pathlib

import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers

from vibethinker_jax.data.tokens.hub_tokenizer import CHATML, HubTokenizer
from vibethinker_jax.runtime import hub, storage

CONTROL = ('<|im_start|>', '<|im_end|>')
# Whole pieces from the start: they open and close every response.
SYMBOLS = ('<think>', '</think>', '\\boxed{')
FEWEST = 300  # pieces: 256 are bytes


class Tokenizer:
  """Text <-> token ids with SentencePiece and ChatML.

  Attributes:
    vocab_size: number of ids; models may pad it, padded ids are never sampled.
    pad_id, start_id (`<|im_start|>`), end_id (`<|im_end|>`): control tokens; no text encodes to them.
    stop_ids: (end_id,), what ends a response. controls: ids of the control tokens by their text.
  """

  def __init__(self, model: bytes):
    self.model = model
    self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    self.vocab_size = self._processor.vocab_size()
    self.pad_id = self._processor.pad_id()
    self.start_id, self.end_id = (self._control_id(token) for token in CONTROL)
    self.stop_ids = (self.end_id,)
    controls = filter(self._processor.is_control, range(self.vocab_size))
    self.controls = {self._processor.id_to_piece(i): i for i in controls}

  def files(self) -> dict[str, bytes]:
    """What makes this tokenizer again, by file name."""
    return {'tokenizer.model': self.model}

  def hub_files(self) -> dict[str, bytes]:
    """The same tokenizer as Hugging Face files: a byte-fallback BPE with the chat template."""
    processor = self._processor
    pieces = [processor.id_to_piece(i) for i in range(self.vocab_size)]
    ids = {piece: i for i, piece in enumerate(pieces)}
    # A merge for every way to put a piece together of two others; ids fall in the order in which they were learned.
    learned = [p for i, p in enumerate(pieces) if not (processor.is_control(i) or processor.is_byte(i) or p in SYMBOLS)]
    merges = [
      (p[:cut], p[cut:])
      for p in sorted(learned, key=lambda p: (-processor.get_score(ids[p]), ids[p]))
      for cut in range(1, len(p))
      if p[:cut] in ids and p[cut:] in ids
    ]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=ids, merges=merges, byte_fallback=True, unk_token=pieces[1]))
    tokenizer.normalizer = normalizers.Replace(' ', '\u2581')
    tokenizer.decoder = decoders.Sequence([decoders.Replace('\u2581', ' '), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(
      [tokenizers.AddedToken(p, normalized=False) for i, p in enumerate(pieces) if processor.is_control(i)]
    )
    tokenizer.add_tokens([tokenizers.AddedToken(p, normalized=False) for p in (*SYMBOLS, '\n')])
    settings = {
      'tokenizer_class': 'PreTrainedTokenizerFast',
      'eos_token': CONTROL[1],
      'pad_token': pieces[self.pad_id],
      'chat_template': CHATML,
      'clean_up_tokenization_spaces': False,
    }
    return {
      'tokenizer.json': tokenizer.to_str(pretty=True).encode(),
      'tokenizer_config.json': json.dumps(settings, indent=2).encode(),
      'generation_config.json': json.dumps({'eos_token_id': self.end_id}).encode(),
    }

  def _control_id(self, token: str) -> int:
    i = self._processor.piece_to_id(token)
    if not self._processor.is_control(i):
      raise ValueError(
        f'the SentencePiece model has no control token {token!r}: train it with '
        'vibethinker_jax.data.tokens.tokenizer.train, or add it as a control symbol'
      )
    return i

  def encode(self, text: str) -> list[int]:
    """Token ids of plain text; the text of a control token stays plain text."""
    return self._processor.encode(text)

  def decode(self, ids) -> str:
    """Text of token ids; control tokens vanish."""
    return self._processor.decode([int(i) for i in ids])

  encode_marked = encode  # control tokens are no text of this tokenizer

  def show(self, ids) -> str:
    """Text of token ids, control tokens shown."""
    text = {True: lambda run: ''.join(map(self._processor.id_to_piece, run)), False: self._processor.decode}
    return ''.join(
      text[control](list(run)) for control, run in itertools.groupby(map(int, ids), self._processor.is_control)
    )

  def generation_prompt(self, messages: list[dict]) -> str:
    """What stands behind the messages before the assistant speaks, without control tokens."""
    return 'assistant\n'

  def encode_chat(self, messages: list[dict]) -> list[int]:
    """Token ids of ChatML messages, up to where the assistant starts to speak:

    <|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n
    """
    ids = []
    for message in messages:
      ids += [self.start_id, *self.encode(f'{message["role"]}\n{message["content"]}'), self.end_id, *self.encode('\n')]
    return ids + [self.start_id, *self.encode('assistant\n')]

  def save(self, path) -> None:
    pathlib.Path(path).write_bytes(self.model)


def load(path, bare: bool = False) -> Tokenizer | HubTokenizer:
  """A tokenizer from a SentencePiece `.model` file, a tokenizer.json, or the directory of a Hugging Face model.

  Args:
    bare: as of HubTokenizer.

  Raises:
    ValueError: nothing of the kind there.
  """
  path = storage.path(path)
  if path.is_file() and path.suffix == '.model':
    return Tokenizer(path.read_bytes())
  directory = path if path.is_dir() else path.parent
  files = {name: (directory / name).read_bytes() for name in hub.TOKENIZER if (directory / name).is_file()}
  if path.is_file():
    files['tokenizer.json'] = path.read_bytes()
  if not files:
    raise ValueError(
      f'no tokenizer in {path}: give a SentencePiece .model file, a tokenizer.json, or the directory of a '
      'Hugging Face model'
    )
  return from_files(files, bare)


def from_files(files: dict[str, bytes], bare: bool = False) -> Tokenizer | HubTokenizer:
  """A tokenizer from what its `files()` gave; bare: as of HubTokenizer."""
  return Tokenizer(files['tokenizer.model']) if set(files) == {'tokenizer.model'} else HubTokenizer(files, bare)


def train(texts, vocab_size: int) -> Tokenizer:
  """Trains a BPE model: byte fallback, digits split, nothing normalised away, spaces and line ends kept.

  Args:
    texts: iterable of str.
    vocab_size: pieces in all, 256 bytes and the control tokens included.

  Raises:
    ValueError: vocab_size is larger than the corpus supports, or under FEWEST.
  """
  if vocab_size < FEWEST:
    raise ValueError(f'tokenizer.vocab_size={vocab_size} must be at least {FEWEST}: 256 pieces are bytes')
  model = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(texts),
      model_writer=model,
      model_type='bpe',
      vocab_size=vocab_size,
      byte_fallback=True,
      split_digits=True,
      normalization_rule_name='identity',
      remove_extra_whitespaces=False,
      add_dummy_prefix=False,
      allow_whitespace_only_pieces=True,
      character_coverage=1.0,
      control_symbols=list(CONTROL),
      user_defined_symbols=list(SYMBOLS) + ['\n'],
      pad_id=0,
      unk_id=1,
      bos_id=-1,
      eos_id=-1,
      num_threads=1,
      minloglevel=2,
    )
  except RuntimeError as error:
    raise ValueError(f'SentencePiece could not train {vocab_size} pieces on this corpus: {error}') from error
  return Tokenizer(model.getvalue())
