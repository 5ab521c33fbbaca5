"""SentencePiece tokenizers. Control tokens are ids, never text: nothing in a problem can be encoded to one."""

import io
import pathlib

import sentencepiece

CONTROL = ('<|im_start|>', '<|im_end|>')
# Whole pieces from the start: they open and close every response.
SYMBOLS = ('<think>', '</think>', '\\boxed{')


class Tokenizer:
  """Text <-> token ids.

  Attributes:
    vocab_size: number of ids; models may pad it, padded ids are never sampled.
    pad_id, start_id (`<|im_start|>`), end_id (`<|im_end|>`): control tokens; no text encodes to them.
  """

  def __init__(self, model: bytes):
    self.model = model
    self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    self.vocab_size = self._processor.vocab_size()
    self.pad_id = self._processor.pad_id()
    self.start_id, self.end_id = (self._control_id(token) for token in CONTROL)

  def _control_id(self, token: str) -> int:
    i = self._processor.piece_to_id(token)
    if not self._processor.is_control(i):
      raise ValueError(f'the SentencePiece model has no control token {token!r}: train it with '
                       'vibethinker_jax.data.tokenizer.train, or add it as a control symbol')
    return i

  def encode(self, text: str) -> list[int]:
    """Token ids of plain text; the text of a control token stays plain text."""
    return self._processor.encode(text)

  def decode(self, ids) -> str:
    """Text of token ids; control tokens vanish."""
    return self._processor.decode([int(i) for i in ids])

  def save(self, path) -> None:
    pathlib.Path(path).write_bytes(self.model)


def load(path) -> Tokenizer:
  """A tokenizer from a SentencePiece `.model` file."""
  return Tokenizer(pathlib.Path(path).read_bytes())


def train(texts, vocab_size: int) -> Tokenizer:
  """Trains a BPE model: byte fallback, digits split, nothing normalised away, spaces and line ends kept.

  Args:
    texts: iterable of str.
    vocab_size: pieces in all, 256 bytes and the control tokens included.

  Raises:
    ValueError: vocab_size is larger than the corpus supports, or under 300.
  """
  if vocab_size < 300:
    raise ValueError(f'tokenizer.vocab_size={vocab_size} must be at least 300: 256 pieces are bytes')
  model = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type='bpe', vocab_size=vocab_size,
        byte_fallback=True, split_digits=True, normalization_rule_name='identity', remove_extra_whitespaces=False,
        add_dummy_prefix=False, allow_whitespace_only_pieces=True, character_coverage=1.0,
        control_symbols=list(CONTROL), user_defined_symbols=list(SYMBOLS) + ['\n'], pad_id=0, unk_id=1, bos_id=-1,
        eos_id=-1, num_threads=1, minloglevel=2)
  except RuntimeError as error:
    raise ValueError(f'SentencePiece could not train {vocab_size} pieces on this corpus: {error}') from error
  return Tokenizer(model.getvalue())
