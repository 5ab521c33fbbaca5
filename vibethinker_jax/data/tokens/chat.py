"""Problems and worked examples as token ids: the one way in which every program asks a model.

What a model is asked is `prompt` (the user's text, or chat messages with their system turn), rendered by the chat
template, and then `prefix`, the text that its response begins with. A template may begin the response too: that of
DeepSeek-R1 ends in '<think>\\n', that of Qwen3 with enable_thinking=False in '<think>\\n\\n</think>\\n\\n'. What is
judged, stored and shown is the response with what it was begun with; what is trained and counted is what follows.

The seam: the rendered prompt, the prefix and what follows are tokenised each by itself, in training as in sampling, so
that a model meets the same ids in both. A token never spans a seam: after the prefix '<think>' a line end is a token of
its own, or a part of those that follow, but never of one with '>' in it.
"""

from collections.abc import Sequence
import logging
import re
from typing import Any

from vibethinker_jax.data.tokens.hub_tokenizer import HubTokenizer
from vibethinker_jax.data.tokens.tokenizer import Tokenizer

LOOKED_AT = 1000  # examples of a training set whose beginnings are compared with the prompt's end at the start
OPEN, CLOSE = '<think>', '</think>'
AnyTokenizer = Tokenizer | HubTokenizer


def messages(row: dict) -> list[dict]:
  """The turns of a row's prompt; text is the user's turn."""
  prompt = row['prompt']
  return [{'role': 'user', 'content': prompt}] if isinstance(prompt, str) else prompt


def encode_prompt(tokenizer: AnyTokenizer, row: dict) -> list[int]:
  """Token ids up to where the model goes on.

  Args:
    row: `prompt`, text or messages [{'role': ..., 'content': ...}, ...], and `prefix`, text, where there is one.

  Raises:
    ValueError: the chat template fails, leaves the system turn out, or begins the response as the prefix does.
  """
  if row.get('prefix'):
    _begun(tokenizer, row)
  return tokenizer.encode_chat(messages(row)) + tokenizer.encode_marked(row.get('prefix', ''))


def encode_example(tokenizer: AnyTokenizer, row: dict) -> tuple[list[int], list[int]]:
  """(ids, loss mask) of a row with `response`: the mask is 1 on what follows the prompt and on its end token, 0 on
  system turn, prompt and prefix."""
  start, answer = encode_prompt(tokenizer, row), tokenizer.encode(continuation(tokenizer, row)) + [tokenizer.end_id]
  return start + answer, [0] * len(start) + [1] * len(answer)


def render_prompt(tokenizer: AnyTokenizer, row: dict) -> str:
  """What a model is asked, as text: what the ids of encode_prompt stand for, control tokens shown."""
  return tokenizer.show(encode_prompt(tokenizer, row))


def opening(tokenizer: AnyTokenizer, row: dict) -> str:
  """What stands before a sampled text so that it is the whole response: the thought that the chat template opens and
  leaves open, and the prefix; '' where the prompt begins neither. A thought that the template closes is none of it."""
  begun, prefix = _begun(tokenizer, row)
  return ('' if CLOSE in begun else begun) + prefix


def continuation(tokenizer: AnyTokenizer, row: dict) -> str:
  """What of a row's `response` follows the prompt: without what the prompt has begun it with, white space around that
  aside, so that nothing is said twice. A response that begins otherwise follows the prompt as it stands."""
  return _follow(row['response'], *_begun(tokenizer, row))[0]


def check_examples(tokenizer: AnyTokenizer, sources: Sequence[Any], where: str) -> None:
  """Looks whether responses go on as the prompts end, in LOOKED_AT examples spread over each source, and warns if some
  do not.

  Args:
    sources: of rows with prompt and response. where: the name of the stage.

  Raises:
    ValueError: all of them leave a thought open that the prompt has opened, so that each would be judged wrong.
  """
  for source in sources:
    places = range(0, len(source), max(1, len(source) // LOOKED_AT))[:LOOKED_AT]
    reasons = [(i, reason) for i in places if (reason := _misfit(tokenizer, source[i]))]
    if not reasons:
      continue
    i, reason = reasons[0]
    said = ''.join(_begun(tokenizer, source[i]))
    text = (
      f'stage {where!r}: {len(reasons)} of {len(places)} responses of {source!r} {reason}; the first begins with '
      f'{source[i]["response"][:60]!r}, the prompt ends in {said!r}'
    )
    if len(reasons) == len(places) and all(reason == NEVER_CLOSED for _, reason in reasons):
      raise ValueError(f'{text}. Take another prefix or chat template, or responses with {CLOSE}')
    logging.getLogger('vibethinker_jax').warning('%s; they follow the prompt as they stand', text)


NEVER_CLOSED = f'have no {CLOSE}, though the prompt opens a thought'


def _misfit(tokenizer: AnyTokenizer, row: dict) -> str:
  """What is odd about a response behind its prompt, '' if nothing is."""
  begun, prefix = _begun(tokenizer, row)
  rest, repeats = _follow(row['response'], begun, prefix)
  said = begun + prefix
  if OPEN in said and CLOSE not in said:
    return '' if all(repeats) or CLOSE in rest else NEVER_CLOSED
  if CLOSE in said and OPEN in rest:
    return 'think again, though the prompt has closed the thought'
  return '' if repeats[1] else 'do not begin with the prefix'


def _follow(response: str, *starts: str) -> tuple[str, list[bool]]:
  """(the response without its beginnings, which of them it had)."""
  found = []
  for start in starts:
    after = _after(response, start)
    found.append(after is not None)
    response = response if after is None else after
  return response, found


def _begun(tokenizer: AnyTokenizer, row: dict) -> tuple[str, str]:
  """(the thought that the chat template's prompt begins the response with, the prefix)."""
  said, prefix = tokenizer.generation_prompt(messages(row)), row.get('prefix', '')
  begun = said[said.index(OPEN) :] if OPEN in said else ''
  if begun and OPEN in prefix:
    raise ValueError(
      f'the prefix {prefix!r} begins a thought, and the chat template does so already: its prompt ends in '
      f'{said!r}. Leave the prefix out'
    )
  return begun, prefix


def _after(text: str, start: str) -> str | None:
  """The text behind `start`, None if it begins otherwise; white space within and around `start` may differ."""
  if text.startswith(start):
    return text[len(start) :]
  loose = r'\s*' + r'\s*'.join(map(re.escape, start.split())) + (r'\s*' if start[-1:].isspace() else '')
  match = re.match(loose, text) if start.split() else None
  return text[match.end() :] if match else None
