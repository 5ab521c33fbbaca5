"""What the benchmarks measure: two Qwen2 shapes, prompts, end tokens; the same work as public peers were given.

TINY has 1.05 M matmul weights, SMALL 28.3 M. 32 prompts of 32 tokens, groups of 8, at most 128 new tokens; one id in 64
ends a response (lengths near geometric, mean 55); SFT batches of 32 x 256.
"""

import json
import statistics
import time

import numpy as np

from vibethinker_jax.model.config import ModelConfig

SHAPES = {
    'tiny': ModelConfig(512, 128, 4, 4, 2, 32, 512, rope_theta=1e6),
    'small': ModelConfig(8192, 512, 8, 8, 2, 64, 1536, rope_theta=1e6)}
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
