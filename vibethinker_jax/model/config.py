"""The architecture of a Qwen2-style transformer, and the one table of dtypes.

Axis letters, used in every shape-suffixed name of the package:
  B sequences, P prompts, G responses per prompt, L positions, S cached positions, D model width, H query heads,
  K key/value heads, h head width, F feed-forward width, V vocabulary, N layers.

Dtypes: parameters are float32 masters. Matrix products run in `compute_dtype`: bfloat16 on TPU and GPU, float32 on
CPU. Softmax, RMSNorm statistics, rotary angles, log-probabilities, losses and gradients of the head are float32
everywhere.
"""

import dataclasses
import json

import jax.numpy as jnp

from vibethinker_jax import sharding


@dataclasses.dataclass(frozen=True)
class RopeScaling:
  """How rotary frequencies are stretched beyond the trained context. Names as in Hugging Face's `rope_scaling`.

  Attributes:
    rope_type: 'linear', 'yarn' (arXiv 2309.00071) or 'llama3'.
    factor: of the context length.
    original_max_position_embeddings: the context before stretching (yarn, llama3).
    beta_fast, beta_slow, attention_factor (0: 0.1 log(factor) + 1): of yarn.
    low_freq_factor, high_freq_factor: of llama3.
  """
  rope_type: str
  factor: float
  original_max_position_embeddings: int = 0
  beta_fast: float = 32.0
  beta_slow: float = 1.0
  attention_factor: float = 0.0
  low_freq_factor: float = 1.0
  high_freq_factor: float = 4.0

  def __post_init__(self):
    if self.rope_type not in ('linear', 'yarn', 'llama3'):
      raise ValueError(f"rope_scaling.rope_type={self.rope_type!r} is not implemented; known: 'linear', 'yarn', 'llama3'")
    if self.rope_type != 'linear' and self.original_max_position_embeddings < 1:
      raise ValueError(f'rope_scaling of type {self.rope_type!r} needs original_max_position_embeddings')


@dataclasses.dataclass(frozen=True)
class ModelConfig:
  """Shape of the model. Names follow Hugging Face's `config.json` where it has one.

  max_position_embeddings is the context the model was made for (0: not known); it is carried along, not enforced.

  Raises:
    ValueError: sizes that do not fit together.
  """
  vocab_size: int
  hidden_size: int  # D
  num_hidden_layers: int  # N
  num_attention_heads: int  # H
  num_key_value_heads: int  # K
  head_dim: int  # h
  intermediate_size: int  # F
  rope_theta: float = 10_000.0
  rms_norm_eps: float = 1e-6
  attention_bias: bool = True  # Qwen2: on q, k and v, never on o
  qk_norm: bool = False  # Qwen3: RMSNorm over h of each query and key head before rotation
  tie_word_embeddings: bool = True
  initializer_range: float = 0.02
  max_position_embeddings: int = 0
  rope_scaling: RopeScaling | None = None

  def __post_init__(self):
    if self.num_attention_heads % self.num_key_value_heads:
      raise ValueError(f'num_attention_heads={self.num_attention_heads} must be a multiple of '
                       f'num_key_value_heads={self.num_key_value_heads}')
    if self.head_dim % 2:
      raise ValueError(f'head_dim={self.head_dim} must be even: rotary embedding turns pairs')
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.type is int and (type(value) is not int or value < (field.name != 'max_position_embeddings')):
        raise ValueError(f'model.{field.name}={value!r} must be a positive integer')

  def to_json(self) -> str:
    return json.dumps(dataclasses.asdict(self), indent=2)


def from_dict(values: dict) -> ModelConfig:
  """A ModelConfig from plain values.

  Raises:
    ValueError: unknown or missing fields, all named at once.
  """
  known = {f.name: f for f in dataclasses.fields(ModelConfig)}
  unknown = sorted(set(values) - set(known))
  missing = sorted(n for n, f in known.items() if f.default is dataclasses.MISSING and n not in values)
  if unknown or missing:
    raise ValueError(f'model config: unknown fields {unknown}, missing fields {missing}; known: {sorted(known)}')
  scaling = values.get('rope_scaling')
  if isinstance(scaling, dict):
    names = {f.name for f in dataclasses.fields(RopeScaling)}
    if set(scaling) - names or not {'rope_type', 'factor'} <= set(scaling):
      raise ValueError(f'model.rope_scaling={scaling}: needs rope_type and factor, knows {sorted(names)}')
    values = values | {'rope_scaling': RopeScaling(**scaling)}
  return ModelConfig(**values)


def compute_dtype() -> jnp.dtype:
  """The dtype of matrix products on this platform."""
  return jnp.dtype(jnp.float32 if sharding.platform() == 'cpu' else jnp.bfloat16)
