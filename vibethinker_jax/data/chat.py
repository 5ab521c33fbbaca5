"""Problems and worked examples as token ids, in the chat format of the tokenizer."""

from vibethinker_jax.data.hub_tokenizer import HubTokenizer
from vibethinker_jax.data.tokenizer import Tokenizer


def encode_prompt(tokenizer: Tokenizer | HubTokenizer, prompt: str | list[dict]) -> list[int]:
  """Token ids up to where the assistant starts to speak.

  Args:
    prompt: the user's text, or messages [{'role': ..., 'content': ...}, ...].
  """
  return tokenizer.encode_chat([{'role': 'user', 'content': prompt}] if isinstance(prompt, str) else prompt)


def encode_example(tokenizer: Tokenizer | HubTokenizer, prompt: str | list[dict],
                   response: str) -> tuple[list[int], list[int]]:
  """(ids, loss mask): the mask is 1 on the response and its end token, 0 on the prompt."""
  start, answer = encode_prompt(tokenizer, prompt), tokenizer.encode(response) + [tokenizer.end_id]
  return start + answer, [0] * len(start) + [1] * len(answer)
