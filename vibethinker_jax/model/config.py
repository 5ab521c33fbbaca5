"""The architecture of a Qwen2-style transformer, and the one table of dtypes.

Axis letters, used in every shape-suffixed name of the package:
  B sequences, P prompts, G responses per prompt, L positions, S cached positions, D model width, H query heads,
  K key/value heads, h head width, F feed-forward width, V vocabulary, N layers.

Dtypes: parameters are float32 masters. Matrix products run in `compute_dtype`: bfloat16 on TPU and GPU, float32 on
CPU. Softmax, RMSNorm statistics, rotary angles, log-probabilities, losses and gradients of the head are float32
everywhere.
"""

from collections.abc import Iterator
import dataclasses
import json
from typing import Annotated, Literal

import jax.numpy as jnp

from vibethinker_jax import config as config_lib, sharding
from vibethinker_jax.config import AboveZero, Count, NotNegative, Positive, Range

SCALINGS = ('linear', 'yarn', 'llama3')


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

  rope_type: Literal[SCALINGS]
  factor: AboveZero
  original_max_position_embeddings: Count = 0
  beta_fast: AboveZero = 32.0
  beta_slow: AboveZero = 1.0
  attention_factor: NotNegative = 0.0
  low_freq_factor: AboveZero = 1.0
  high_freq_factor: AboveZero = 4.0

  def conflicts(self) -> Iterator[str]:
    if self.rope_type != 'linear' and self.original_max_position_embeddings < 1:
      yield (
        f'original_max_position_embeddings={self.original_max_position_embeddings} must be at least 1 with '
        f'rope_type={self.rope_type!r}'
      )
    for low, high in (('beta_slow', 'beta_fast'), ('low_freq_factor', 'high_freq_factor')):
      if getattr(self, low) >= getattr(self, high):
        yield f'{low}={getattr(self, low)} must be less than {high}={getattr(self, high)}'


@dataclasses.dataclass(frozen=True)
class ModelConfig:
  """Shape of the model. Names follow Hugging Face's `config.json` where it has one.

  max_position_embeddings is the context the model was made for (0: not known); it is carried along, not enforced.
  `from_dict` checks that the values are allowed and fit together.
  """

  vocab_size: Positive
  hidden_size: Positive  # D
  num_hidden_layers: Positive  # N
  num_attention_heads: Positive  # H
  num_key_value_heads: Positive  # K
  head_dim: Positive  # h
  intermediate_size: Positive  # F
  rope_theta: Annotated[float, Range(gt=1)] = 10_000.0  # of at most 1 no angle would fall with the dimension
  rms_norm_eps: Annotated[float, Range(ge=0, lt=1)] = 1e-6
  attention_bias: bool = True  # Qwen2: on q, k and v, never on o
  qk_norm: bool = False  # Qwen3: RMSNorm over h of each query and key head before rotation
  tie_word_embeddings: bool = True
  initializer_range: NotNegative = 0.02
  max_position_embeddings: Count = 0
  rope_scaling: RopeScaling | None = None

  def conflicts(self) -> Iterator[str]:
    if self.num_attention_heads % self.num_key_value_heads:
      yield (
        f'num_attention_heads={self.num_attention_heads} must be a multiple of '
        f'num_key_value_heads={self.num_key_value_heads}'
      )
    if self.head_dim % 2:
      yield f'head_dim={self.head_dim} must be even: rotary embedding turns pairs'

  def to_json(self) -> str:
    return json.dumps(dataclasses.asdict(self), indent=2)


# What may be set of an imported model, for a longer context; its weights fix the rest.
CONTEXT = ('rope_theta', 'rope_scaling', 'max_position_embeddings')


def from_dict(values: dict, where: str = 'model') -> ModelConfig:
  """A ModelConfig from plain values.

  Args:
    where: they are from, for messages.

  Raises:
    ValueError: unknown or missing fields, values that are not allowed or do not fit together, all named at once.
  """
  return config_lib.bind(ModelConfig, values, where)


def compute_dtype() -> jnp.dtype:
  """The dtype of matrix products on this platform."""
  return jnp.dtype(jnp.float32 if sharding.platform() == 'cpu' else jnp.bfloat16)
