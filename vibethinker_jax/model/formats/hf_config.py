"""Hugging Face's config.json <-> ModelConfig, for the Qwen2, Qwen3 and Llama families."""

from vibethinker_jax.model.config import SCALINGS, ModelConfig, from_dict

ARCHITECTURES = {'qwen2': 'Qwen2ForCausalLM', 'qwen3': 'Qwen3ForCausalLM', 'llama': 'LlamaForCausalLM'}
_SCALING_FIELDS = (
  'factor',
  'original_max_position_embeddings',
  'beta_fast',
  'beta_slow',
  'attention_factor',
  'low_freq_factor',
  'high_freq_factor',
)


def read(values: dict, where: str) -> ModelConfig:
  """A ModelConfig from the values of a config.json, of transformers 4 (rope_theta, rope_scaling) or 5
  (rope_parameters).

  Args:
    where: the file, for messages.

  Raises:
    ValueError: another architecture, or features that the model does not have, all named at once.
  """
  family = values.get('model_type')
  if family not in ARCHITECTURES:
    raise ValueError(f'{where}: model_type={family!r} is not supported; choose from {", ".join(ARCHITECTURES)}')
  required = ('vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'intermediate_size')
  wrong = [f'{name} is missing' for name in required if name not in values]
  if values.get('hidden_act', 'silu') != 'silu':
    wrong.append(f'hidden_act={values["hidden_act"]!r} (only silu)')
  wrong += [
    f'{name}={values[name]!r}' for name in ('use_sliding_window', 'mlp_bias', 'quantization_config') if values.get(name)
  ]
  if family != 'qwen2' and values.get('attention_bias'):
    wrong.append('attention_bias=true (a bias on o)')
  if set(values.get('layer_types') or ()) - {'full_attention'}:
    wrong.append('layer_types other than full_attention')
  rope = {**(values.get('rope_scaling') or {}), **(values.get('rope_parameters') or {})}
  scaling, unknown = _scaling(rope, values)
  wrong += unknown
  if wrong:
    raise ValueError(f'{where}: not supported: ' + '; '.join(wrong))
  _check_numbers(values, where)
  heads = values['num_attention_heads']
  return from_dict(
    dict(
      vocab_size=values['vocab_size'],
      hidden_size=values['hidden_size'],
      num_hidden_layers=values['num_hidden_layers'],
      num_attention_heads=heads,
      num_key_value_heads=values.get('num_key_value_heads') or heads,
      head_dim=values.get('head_dim') or values['hidden_size'] // heads,
      intermediate_size=values['intermediate_size'],
      rope_theta=float(rope.get('rope_theta') or values.get('rope_theta') or 10_000.0),
      rms_norm_eps=float(values.get('rms_norm_eps', 1e-6)),
      attention_bias=family == 'qwen2',
      qk_norm=family == 'qwen3',
      tie_word_embeddings=bool(values.get('tie_word_embeddings', False)),
      initializer_range=float(values.get('initializer_range', 0.02)),
      max_position_embeddings=values.get('max_position_embeddings') or 0,
      rope_scaling=scaling,
    ),
    where,
  )


def _check_numbers(values: dict, where: str) -> None:
  """Raises ValueError for sizes that are no sizes: text, zero, less than one; all at once."""
  sizes = ('vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'intermediate_size')
  maybe = ('num_key_value_heads', 'head_dim', 'max_position_embeddings')
  whole = lambda x: type(x) is int and x >= 1
  wrong = [f'{name}={values[name]!r} must be an integer >= 1' for name in sizes if not whole(values[name])]
  wrong += [
    f'{name}={values[name]!r} must be an integer >= 1' for name in maybe if values.get(name) and not whole(values[name])
  ]
  wrong += [
    f'{name}={values[name]!r} must be a number above 0'
    for name in ('rms_norm_eps', 'rope_theta', 'initializer_range')
    if values.get(name) is not None and (type(values[name]) not in (int, float) or not values[name] > 0)
  ]
  if wrong:
    raise ValueError(f'{where}: ' + '; '.join(wrong))


def _scaling(rope: dict, values: dict) -> tuple[dict | None, list[str]]:
  """(fields of RopeScaling or None, what is not supported) of the merged rope_scaling and rope_parameters."""
  kind = rope.get('rope_type') or rope.get('type') or 'default'
  if kind == 'default':
    return None, []
  if kind not in SCALINGS:
    return None, [f'RoPE scaling of type {kind!r} (known: {", ".join(SCALINGS)})']
  unknown = [
    f'RoPE {name}={rope[name]!r}'
    for name, plain in (('mscale', None), ('mscale_all_dim', None), ('truncate', True), ('partial_rotary_factor', 1.0))
    if rope.get(name, plain) not in (plain, None)
  ]
  fields = {name: rope[name] for name in _SCALING_FIELDS if rope.get(name) is not None}
  if kind != 'linear':  # transformers falls back to the context of the config
    fields.setdefault('original_max_position_embeddings', values.get('max_position_embeddings') or 0)
  if 'factor' not in fields:
    return None, unknown + [f'RoPE scaling of type {kind!r} without a factor']
  return {'rope_type': kind} | fields, unknown


def write(config: ModelConfig, dtype: str, special_tokens: dict) -> dict:
  """The values of a config.json that transformers and vLLM load.

  Args:
    dtype: name of the dtype of the tensors. special_tokens: bos_token_id, eos_token_id, ... to carry along.
  """
  family = 'qwen3' if config.qk_norm else 'qwen2' if config.attention_bias else 'llama'
  if config.qk_norm and config.attention_bias:
    raise ValueError('no Hugging Face architecture has both qk_norm and attention_bias (on q, k and v only)')
  names = (
    'vocab_size',
    'hidden_size',
    'num_hidden_layers',
    'num_attention_heads',
    'num_key_value_heads',
    'head_dim',
    'intermediate_size',
    'rope_theta',
    'rms_norm_eps',
    'tie_word_embeddings',
    'initializer_range',
  )
  values = {
    'architectures': [ARCHITECTURES[family]],
    'model_type': family,
    'hidden_act': 'silu',
    'torch_dtype': dtype,
    'attention_dropout': 0.0,
    'use_cache': True,
  }
  values |= {name: getattr(config, name) for name in names} | special_tokens
  if family != 'qwen2':
    values['attention_bias'] = False
  if config.max_position_embeddings:
    values['max_position_embeddings'] = config.max_position_embeddings
  if config.rope_scaling:
    used = {'linear': ('factor',), 'yarn': _SCALING_FIELDS[:5], 'llama3': _SCALING_FIELDS[:2] + _SCALING_FIELDS[5:]}
    kind = config.rope_scaling.rope_type
    values['rope_scaling'] = {'rope_type': kind} | {
      name: getattr(config.rope_scaling, name)
      for name in used[kind]
      if name != 'attention_factor' or config.rope_scaling.attention_factor
    }
  return values
