"""The chat format: ChatML with control tokens as ids.

  <|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n{response}<|im_end|>
"""

from vibethinker_jax.data.tokenizer import Tokenizer


def encode_prompt(tokenizer: Tokenizer, prompt: str | list[dict]) -> list[int]:
  """Token ids up to where the assistant starts to speak.

  Args:
    prompt: the user's text, or messages [{'role': ..., 'content': ...}, ...].
  """
  messages = [{'role': 'user', 'content': prompt}] if isinstance(prompt, str) else prompt
  ids = []
  for message in messages:
    ids += [tokenizer.start_id, *tokenizer.encode(f'{message["role"]}\n{message["content"]}'), tokenizer.end_id]
    ids += tokenizer.encode('\n')
  return ids + [tokenizer.start_id, *tokenizer.encode('assistant\n')]


def encode_example(tokenizer: Tokenizer, prompt: str | list[dict], response: str) -> tuple[list[int], list[int]]:
  """(ids, loss mask): the mask is 1 on the response and its end token, 0 on the prompt."""
  start, answer = encode_prompt(tokenizer, prompt), tokenizer.encode(response) + [tokenizer.end_id]
  return start + answer, [0] * len(start) + [1] * len(answer)
