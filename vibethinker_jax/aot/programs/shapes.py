"""The model that a recipe starts from, by its shape alone: nothing is loaded."""

import json
import pathlib
from typing import NamedTuple

from vibethinker_jax import checkpoint, config as config_lib
from vibethinker_jax.data.tokens import tokenizer as tokenizer_lib
from vibethinker_jax.model import config as model_config
from vibethinker_jax.model.formats import gguf_file, hf, hf_config
from vibethinker_jax.programs.stage import TokenizerOptions
from vibethinker_jax.runtime import hub, storage

# Bases of the papers (their config.json), for a plan on a machine that does not have them.
_QWEN2 = dict(model_type='qwen2', vocab_size=151_936, num_key_value_heads=2, tie_word_embeddings=True)
KNOWN = {
  'Qwen2.5-Math-1.5B': _QWEN2
  | dict(hidden_size=1536, num_hidden_layers=28, num_attention_heads=12, intermediate_size=8960, rope_theta=10_000.0),
  'Qwen2.5-1.5B': _QWEN2
  | dict(
    hidden_size=1536, num_hidden_layers=28, num_attention_heads=12, intermediate_size=8960, rope_theta=1_000_000.0
  ),
  'Qwen2.5-Coder-3B': _QWEN2
  | dict(
    hidden_size=2048, num_hidden_layers=36, num_attention_heads=16, intermediate_size=11_008, rope_theta=1_000_000.0
  ),
}
QWEN_TOKENS = 151_665  # ids of Qwen2.5's tokenizer; the rest of the vocabulary is padding


class Shape(NamedTuple):
  """config: of the model. tokens: ids of its tokenizer. note: where that was read."""

  config: model_config.ModelConfig
  tokens: int
  note: str


def base(recipe: config_lib.Recipe) -> Shape:
  """The shape of the recipe's base model.

  Raises:
    ValueError: it is not on this machine and its shape is not known.
  """
  if recipe.base == 'scratch':
    return _scratch(recipe)
  path = _path(recipe.base)
  if not storage.remote(path) and path.is_dir() and hf.is_model(path):
    config, note = hf_config.read(json.loads((path / 'config.json').read_text()), str(path)), f'{path}/config.json'
    tokens = tokenizer_lib.load(path).vocab_size
  elif path.exists() and path.suffix == '.gguf':
    (config, tokens), note = gguf_file.read_shape(path), str(path)
  elif path.exists():
    saved = checkpoint.read_model(checkpoint.find(path))
    config, note = model_config.from_dict(saved['config']), str(path)
    tokens = tokenizer_lib.from_files(saved['tokenizer']).vocab_size
  elif (known := path.name.partition('@')[0]) in KNOWN:
    config, note, tokens = hf_config.read(KNOWN[known], known), f'the known shape of {known}', QWEN_TOKENS
  else:
    raise ValueError(
      f'config.base={recipe.base!r} is not a Hugging Face directory or checkpoint on this machine, nor OWNER/NAME on '
      f'the Hub, and its shape is known of {", ".join(KNOWN)} only: give --config.base=DIR with a config.json'
    )
  fields = json.loads(config.to_json()) | dict(recipe.model)
  return Shape(model_config.from_dict(fields), min(tokens, config.vocab_size), note)


def _path(base: str) -> pathlib.Path:
  """Where a base is; of a name of the Hub its small files, which come if they are not there yet.

  Raises:
    ValueError: the Hub does not give it, and its shape is not known either.
  """
  if base.partition('@')[0].endswith('.gguf'):  # whole files, for a shape
    return pathlib.Path(base)
  try:
    return hub.local(base, weights=False)
  except ValueError as error:
    if pathlib.Path(base.partition('@')[0]).name in KNOWN:  # a plan needs no network for these
      return pathlib.Path(base)
    raise ValueError(f'config.base: {error}') from error


def _scratch(recipe: config_lib.Recipe) -> Shape:
  options = config_lib.bind(TokenizerOptions, recipe.tokenizer, 'config.tokenizer')
  given = hub.local(options.path, weights=False) if options.path else None
  tokens = tokenizer_lib.load(given).vocab_size if given else options.vocab_size
  fields = dict(recipe.model)
  fields['vocab_size'] = fields.get('vocab_size') or tokens
  return Shape(model_config.from_dict(fields), tokens, 'config.model')
