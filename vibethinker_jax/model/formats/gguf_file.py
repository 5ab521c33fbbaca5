"""Import of GGUF files of the llama architecture (llama.cpp's format), quantised or not, with their tokenizer."""

import functools
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from vibethinker_jax.model.config import ModelConfig, from_dict
from vibethinker_jax.model.formats import hf

_TOP = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}
_LAYER = {
  'attn_norm': 'input_layernorm',
  'ffn_norm': 'post_attention_layernorm',
  'attn_q': 'self_attn.q_proj',
  'attn_k': 'self_attn.k_proj',
  'attn_v': 'self_attn.v_proj',
  'attn_output': 'self_attn.o_proj',
  'ffn_gate': 'mlp.gate_proj',
  'ffn_up': 'mlp.up_proj',
  'ffn_down': 'mlp.down_proj',
}
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # token types
_GPT2_SPLIT = dict(add_prefix_space=False, use_regex=True)
_QWEN2_PATTERN = (
  r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
  r'|\s+(?!\S)|\s+'
)


def load(path, *, mesh=None, dtype=jnp.float32, progress: bool = False):
  """Imports a GGUF file: its tensors dequantised, rows of q and k back in Hugging Face's order.

  Args:
    path: a .gguf file. mesh, dtype, progress: as hf.load.

  Returns:
    (ModelConfig, params, metadata of the tokenizer, for tokenizer_files).

  Raises:
    ValueError: another architecture, features that are not supported, or tensors that do not fit.
  """
  reader = _open(path)
  import gguf

  config = _config_of(reader, path)
  tensors = {_theirs(t.name): t for t in reader.tensors}

  def read(name, part):
    tensor = tensors[name]
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    heads = {'q_proj': config.num_attention_heads, 'k_proj': config.num_key_value_heads}.get(name.split('.')[-2])
    return (unpermute(values, heads) if heads else values)[part]

  source = hf.Source({name: tuple(int(n) for n in t.shape[::-1]) for name, t in tensors.items()}, read)
  params = hf.place(config, source, mesh=mesh, dtype=dtype, progress=progress, where=str(path))
  return config, params, _of_tokenizer(reader)


def _config_of(reader, path) -> ModelConfig:
  fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith('tokenizer.')}
  return read_config(fields, {t.name: tuple(int(n) for n in t.shape[::-1]) for t in reader.tensors}, str(path))


def read_shape(path) -> tuple[ModelConfig, int]:
  """(ModelConfig, ids of its tokenizer) of a GGUF file, without its tensors; raises as `load`."""
  reader = _open(path)
  return _config_of(reader, path), len(reader.fields['tokenizer.ggml.tokens'].data)


def read_fields(path) -> dict:
  """The metadata of a GGUF file's tokenizer alone, for tokenizer_files; raises as `load`."""
  return _of_tokenizer(_open(path))


def _of_tokenizer(reader) -> dict:
  return {name: field.contents() for name, field in reader.fields.items() if name.startswith('tokenizer.')}


def _open(path):
  try:
    import gguf
  except ImportError:
    raise ValueError("GGUF import needs the gguf package: pip install 'vibethinker_jax[gguf]'") from None
  path = pathlib.Path(path)
  if not path.is_file():
    raise ValueError(f'no such file: {path}')
  return gguf.GGUFReader(path)


def read_config(fields: dict, shapes: dict, where: str) -> ModelConfig:
  """The ModelConfig of a GGUF file's metadata and tensor shapes."""
  kind = fields.get('general.architecture')
  if kind != 'llama':
    raise ValueError(f'{where}: GGUF architecture {kind!r} is not supported, only llama; take the safetensors instead')
  field = functools.partial(_field, fields, where)
  scaling = fields.get('llama.rope.scaling.type', 'none')
  if scaling != 'none' or 'rope_freqs.weight' in shapes:
    raise ValueError(f'{where}: RoPE scaling in GGUF files is not supported; take the safetensors instead')
  # Stored as float32: 1e-5 reads as 9.999999747378752e-06.
  exact = lambda value: float(f'{value:.6g}')
  heads, width = field('attention.head_count'), field('embedding_length')
  return from_dict(
    dict(
      vocab_size=shapes['token_embd.weight'][0],
      hidden_size=width,
      num_hidden_layers=field('block_count'),
      num_attention_heads=heads,
      num_key_value_heads=fields.get('llama.attention.head_count_kv', heads),
      head_dim=fields.get('llama.attention.key_length', width // heads),
      intermediate_size=field('feed_forward_length'),
      rope_theta=exact(fields.get('llama.rope.freq_base', 10_000.0)),
      rms_norm_eps=exact(field('attention.layer_norm_rms_epsilon')),
      attention_bias=False,
      tie_word_embeddings='output.weight' not in shapes,
      max_position_embeddings=fields.get('llama.context_length', 0),
    ),
    where,
  )


def _field(fields, where, name):
  if f'llama.{name}' not in fields:
    raise ValueError(f'{where}: the metadata field llama.{name} is missing')
  return fields[f'llama.{name}']


def _theirs(name: str) -> str:
  """Hugging Face's name of a tensor; an unknown one keeps its own and is reported as surplus."""
  if name in _TOP:
    return _TOP[name]
  block, layer, part, *rest = name.split('.') + [''] * 3
  return f'model.layers.{layer}.{_LAYER[part]}.{rest[0]}' if block == 'blk' and part in _LAYER else name


def unpermute(rows: np.ndarray, heads: int) -> np.ndarray:
  """Rows [H h, ...] from llama.cpp's order (rotated pairs side by side) to Hugging Face's (halves)."""
  return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def tokenizer_files(fields: dict) -> dict[str, bytes]:
  """tokenizer.json, tokenizer_config.json and generation_config.json from the metadata of a byte-level BPE.

  Raises:
    ValueError: another kind of tokenizer.
  """
  model, kind = fields.get('tokenizer.ggml.model'), fields.get('tokenizer.ggml.pre')
  splits = {
    'smollm': [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(**_GPT2_SPLIT)],
    'gpt-2': [pre_tokenizers.ByteLevel(**_GPT2_SPLIT)],
    'qwen2': [
      pre_tokenizers.Split(tokenizers.Regex(_QWEN2_PATTERN), 'isolated'),
      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ],
  }
  if model != 'gpt2' or kind not in splits:
    raise ValueError(
      f'the GGUF file has a tokenizer of type {model!r}, {kind!r}; known: gpt2 with {", ".join(splits)}. '
      'Give the tokenizer of the original model: --tokenizer=DIRECTORY'
    )
  tokens, types = fields['tokenizer.ggml.tokens'], fields['tokenizer.ggml.token_type']
  merges = [tuple(merge.split(' ')) for merge in fields['tokenizer.ggml.merges']]
  tokenizer = tokenizers.Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits[kind])
  tokenizer.decoder = decoders.ByteLevel()
  add = lambda special: [
    tokenizers.AddedToken(t, special=special, normalized=False)
    for t, kind in zip(tokens, types)
    if kind == (_CONTROL if special else _USER_DEFINED)
  ]
  tokenizer.add_special_tokens(add(True))
  tokenizer.add_tokens(add(False))
  eos = fields['tokenizer.ggml.eos_token_id']
  settings = {
    'tokenizer_class': 'PreTrainedTokenizerFast',
    'eos_token': tokens[eos],
    'add_bos_token': bool(fields.get('tokenizer.ggml.add_bos_token', False)),
  }
  for name, field in (
    ('bos_token', 'bos_token_id'),
    ('pad_token', 'padding_token_id'),
    ('unk_token', 'unknown_token_id'),
  ):
    if f'tokenizer.ggml.{field}' in fields:
      settings[name] = tokens[fields[f'tokenizer.ggml.{field}']]
  if 'tokenizer.chat_template' in fields:
    settings['chat_template'] = fields['tokenizer.chat_template']
  return {
    'tokenizer.json': tokenizer.to_str(pretty=True).encode(),
    'tokenizer_config.json': json.dumps(settings, indent=2).encode(),
    'generation_config.json': json.dumps({'eos_token_id': int(eos)}).encode(),
  }
