"""Drawing tokens: each draw depends on its own key only, never on its place in the batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vibethinker_jax.sharding import platform

MASKED = -1e30


class Distribution(NamedTuple):
  """What tokens are drawn from, given a model's logits.

  Attributes:
    temperature: 0 is greedy.
    top_p: nucleus; 1 keeps all.
    vocab_size: ids from here on (the padding of the embedding table) are never drawn; None: there are none.
    top_k: the k most likely ids and their equals; 0 keeps all.
    min_p: ids of at least min_p times the probability of the most likely one; 0 keeps all.

  After the temperature, in the order of transformers: top_k, top_p of what that leaves, min_p.
  """

  temperature: float = 1.0
  top_p: float = 1.0
  vocab_size: int | None = None
  top_k: int = 0
  min_p: float = 0.0


def token_keys(keys_B, positions_B):
  """One key per row for this position of its response."""
  return jax.vmap(jax.random.fold_in)(keys_B, positions_B)


def response_keys(key, prompt_ids_B, response_ids_B):
  """Keys that depend on (key, prompt id, response index) alone: not on slot, batch, host count or restart."""
  return jax.vmap(lambda p, r: jax.random.fold_in(jax.random.fold_in(key, p), r))(prompt_ids_B, response_ids_B)


def top_p_threshold(probs_BV, top_p):
  """The largest probability t such that {p >= t} still has mass >= top_p, by bisection: no sort of the vocabulary.

  Returns:
    t_B1, correct to 2^-24 of the largest probability.
  """

  def halve(_, bounds):
    low, high = bounds  # mass {p > low} >= top_p > mass {p > high}
    middle = 0.5 * (low + high)
    enough = jnp.sum(jnp.where(probs_BV > middle, probs_BV, 0.0), axis=-1, keepdims=True) >= top_p
    return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

  top = jnp.max(probs_BV, axis=-1, keepdims=True)
  return jax.lax.fori_loop(0, 24, halve, (jnp.zeros_like(top), top))[0]


def top_k_threshold(logits_BV, k):
  """The k-th largest logit of each row, by bisection over the 32 bits of a float: no sort of the vocabulary.

  Args:
    logits_BV: float32. k: at least 1; with more than V ids the smallest logit is given.

  Returns:
    t_B1, exact: {logits >= t} are the k largest and those that equal the last of them.
  """
  bits = jax.lax.bitcast_convert_type(logits_BV, jnp.uint32)
  sign = jnp.uint32(1 << 31)
  ordered = jnp.where(bits & sign, ~bits, bits | sign)  # unsigned integers in the order of the floats

  def bit(i, found):
    tried = found | (sign >> i.astype(jnp.uint32))
    enough = jnp.sum(ordered >= tried, axis=-1, keepdims=True) >= min(k, logits_BV.shape[-1])
    return jnp.where(enough, tried, found)

  found = jax.lax.fori_loop(0, 32, bit, jnp.zeros((logits_BV.shape[0], 1), jnp.uint32))
  return jax.lax.bitcast_convert_type(jnp.where(found & sign, found ^ sign, ~found), jnp.float32)


def sample(logits_BV, keys_B, distribution: Distribution = Distribution()):
  """Draws one token a row.

  Args:
    logits_BV: float32.
    keys_B: one key per row and position, see `token_keys`.

  Returns:
    (tokens_B int32, logp_B float32): logp under the distribution that was sampled from (greedy: under the model's).
  """
  temperature, top_p, vocab_size, top_k, min_p = distribution
  V = logits_BV.shape[-1]
  logits = logits_BV.astype(jnp.float32)
  if vocab_size is not None and vocab_size < V:
    logits = jnp.where(jnp.arange(V) < vocab_size, logits, MASKED)
  if temperature == 0:
    tokens = jnp.argmax(logits, axis=-1)
    return tokens.astype(jnp.int32), _logp(logits, tokens)
  logits = logits / temperature
  if top_k:
    logits = jnp.where(logits >= top_k_threshold(logits, top_k), logits, MASKED)
  probs = jax.nn.softmax(logits, axis=-1)
  if top_p < 1:
    kept = probs > top_p_threshold(probs, top_p)
    logits = jnp.where(kept, logits, MASKED)
    probs = jnp.where(kept, probs, 0.0)
  if min_p:
    kept = probs >= min_p * jnp.max(probs, axis=-1, keepdims=True)
    logits = jnp.where(kept, logits, MASKED)
    probs = jnp.where(kept, probs, 0.0)
  if platform() != 'cpu':  # on TPU a cumulative sum over 151 936 ids takes 5 times as long as noise for each of them
    noise = jax.vmap(lambda key: jax.random.gumbel(key, (V,)))(keys_B)
    tokens = jnp.argmax(logits + noise, axis=-1)
    return tokens.astype(jnp.int32), _logp(logits, tokens)
  # Inverse of the cumulative distribution: one uniform number a row.
  mass = jnp.cumsum(probs, axis=-1)
  uniform = jax.vmap(jax.random.uniform)(keys_B)[:, None] * mass[:, -1:]
  tokens = jnp.minimum(jnp.sum(mass <= uniform, axis=-1), V - 1)
  return tokens.astype(jnp.int32), _logp(logits, tokens)


def _logp(logits, tokens):
  picked = jnp.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
  return picked - jax.nn.logsumexp(logits, axis=-1)
