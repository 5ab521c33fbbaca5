"""The system turn of what is asked, and how the response begins: the same for every program that reads rows."""

import re

from vibethinker_jax.data import templates

SYSTEM = 'system|system_prompt'  # the system turn of rows whose prompt has none
LINE_END = re.compile(r'\\n(?![A-Za-z])')  # a line end written in two characters, as shells pass it on


def text(prompt: str | list[dict]) -> str:
  """A prompt to be read by people: of messages each turn behind its role."""
  return prompt if isinstance(prompt, str) else '\n\n'.join(f'{turn["role"]}: {turn["content"]}' for turn in prompt)


def asked(found: dict, row: dict, options) -> dict:
  """What was found of a row, with the system turn in its `prompt`, and `prefix` where the options have one.

  Args:
    found: with prompt, text or messages. row: as the file has it. options: sources.DataOptions.

  Raises:
    ValueError: a template of the system turn that names what the row lacks.
  """
  turns = found['prompt']
  turns = [{'role': 'user', 'content': turns}] if isinstance(turns, str) else turns
  own = [turn for turn in turns if turn['role'] in ('system', 'developer')]
  try:
    system = templates.fill(row, options.system) if '{' in options.system else options.system
  except ValueError as error:
    raise ValueError(f'data.system: {error}') from None
  if isinstance(system, list):
    raise ValueError(f'data.system={options.system!r} must name fields that are text; one is a list')
  if system and system in row and '{' not in options.system:
    raise ValueError(f"data.system={system!r} is the name of a field: write '{{{system}}}' for what stands in it")
  if not system and not own:
    system = templates.lookup(row, SYSTEM)
  kept = {name: value for name, value in found.items() if name != 'prefix'}  # a row's own is not ours
  if isinstance(system, str) and system.strip():
    kept['prompt'] = [{'role': 'system', 'content': system}, *(turn for turn in turns if turn not in own)]
  return kept | ({'prefix': options.prefix} if options.prefix else {})
