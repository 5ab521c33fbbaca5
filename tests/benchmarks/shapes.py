"""What the benchmarks measure: Qwen2 shapes, prompts, end tokens; the same work as public peers were given.

TINY has 1.05 M matmul weights, SMALL 28.3 M, 1P5B 1 543 M (for accelerators). 32 prompts of 32 tokens, groups of 8, at
most 128 new tokens; one id in 64 ends a response (lengths near geometric, mean 55); SFT batches of 32 x 256.
"""

import json
import statistics
import time

import numpy as np

from vibethinker_jax.model.config import ModelConfig

SHAPES = {
  'tiny': ModelConfig(512, 128, 4, 4, 2, 32, 512, rope_theta=1e6),
  'small': ModelConfig(8192, 512, 8, 8, 2, 64, 1536, rope_theta=1e6),
  '1p5b': ModelConfig(151_936, 1536, 28, 12, 2, 128, 8960, rope_theta=1e6),
}
# bfloat16 operations (dense) and bytes a second of the data sheets, by what JAX calls the device.
SHEETS = {
  'A100': (312e12, 2.04e12),
  'H100': (989e12, 3.35e12),
  'H200': (989e12, 4.8e12),
  'B200': (2250e12, 8e12),
  'v5 lite': (197e12, 819e9),
  'v5p': (459e12, 2765e9),
  'v6 lite': (918e12, 1640e9),
}
PROMPTS, PROMPT_LENGTH, GROUP, MAX_NEW = 32, 32, 8, 128
BATCH, LENGTH = 32, 256


def stop_ids(config: ModelConfig) -> tuple[int, ...]:
  return tuple(range(1, 1 + config.vocab_size // 64))


def random_ids(config: ModelConfig, *shape: int, seed: int = 1) -> np.ndarray:
  """Ids that are neither padding nor end tokens."""
  return np.random.default_rng(seed).integers(1 + config.vocab_size // 64, config.vocab_size, shape).astype(np.int32)


def matmul_weights(config: ModelConfig) -> int:
  """Weights multiplied per token: the head once, no biases or norms."""
  attention = 2 * config.num_attention_heads + 2 * config.num_key_value_heads
  layer = config.hidden_size * (attention * config.head_dim + 3 * config.intermediate_size)
  return config.num_hidden_layers * layer + config.vocab_size * config.hidden_size


def training_flops(config: ModelConfig, rows: int, length: int) -> float:
  """Operations of one SFT step: 6 per weight and token, and causal attention (half of the scores), nothing twice."""
  attention = 6 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * length**2
  return rows * (6 * matmul_weights(config) * length + attention)


def peaks() -> tuple[float, float, str]:
  """(operations, bytes) that this device makes in a second, and whence it is known: its data sheet, or measured here as
  the best of ten products of 1024 x 1024 matrices and of ten copies of 256 MiB."""
  import jax
  import jax.numpy as jnp

  from vibethinker_jax.model.config import compute_dtype

  for name, (flops, moved) in SHEETS.items():
    if name in jax.devices()[0].device_kind:
      return flops, moved, 'data sheet'
  matrix, long = jnp.ones((1024, 1024), compute_dtype()), jnp.ones(2**26, jnp.float32)
  product, copy = jax.jit(jnp.dot), jax.jit(lambda x: x + 1)

  def best(function):
    jax.block_until_ready(function())
    times = []
    for _ in range(10):
      start = time.perf_counter()
      jax.block_until_ready(function())
      times.append(time.perf_counter() - start)
    return min(times)

  return 2 * 1024**3 / best(lambda: product(matrix, matrix)), 2 * 2**28 / best(lambda: copy(long)), 'measured'


def seconds(function, repeats: int) -> tuple[float, list[float]]:
  """(median, all) of `repeats` calls after two that warm up."""
  function()
  function()
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    function()
    times.append(time.perf_counter() - start)
  return statistics.median(times), [round(t, 4) for t in times]


def emit(**values) -> None:
  import jax

  print(json.dumps(values | {'jax': jax.__version__, 'device': jax.devices()[0].device_kind}))
