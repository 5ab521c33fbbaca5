"""AdamW with warm-up and cosine decay, from a config."""

import jax
import optax

from vibethinker_jax.sharding import path_name


def schedule(learning_rate: float, final_learning_rate: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
  """Linear warm-up to `learning_rate`, then cosine to `final_learning_rate` at `total_steps` (VibeThinker-3B §2.1)."""
  return optax.warmup_cosine_decay_schedule(
      0.0 if warmup_steps else learning_rate, learning_rate, warmup_steps, max(total_steps, warmup_steps + 1),
      final_learning_rate)


def adamw(learning_rate: optax.Schedule | float, *, beta1: float = 0.9, beta2: float = 0.95,
          weight_decay: float = 0.0, clip_norm: float = 1.0) -> optax.GradientTransformation:
  """Clipping by the global norm, then AdamW; norms and biases are not decayed."""
  def decayed(params):
    return jax.tree_util.tree_map_with_path(
        lambda path, _: not path_name(path).endswith(('norm', 'bias')), params)

  return optax.chain(
      optax.clip_by_global_norm(clip_norm),
      optax.adamw(learning_rate, b1=beta1, b2=beta2, weight_decay=weight_decay, mask=decayed))
