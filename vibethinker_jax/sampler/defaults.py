"""How a model is to be sampled where nobody says it: generation_config.json, which published models bring."""

from typing import Annotated, NamedTuple

from vibethinker_jax import config as config_lib
from vibethinker_jax.config import NotNegative, Range
from vibethinker_jax.data.tokens import hub_tokenizer

FILE = 'generation_config.json'
# What else changes what transformers draws, with the values that change nothing: it is not done here.
OTHERS = {
  'repetition_penalty': 1,
  'encoder_repetition_penalty': 1,
  'no_repeat_ngram_size': 0,
  'typical_p': 1,
  'epsilon_cutoff': 0,
  'eta_cutoff': 0,
  'penalty_alpha': 0,
  'num_beams': 1,
}


class Drawn(NamedTuple):
  """temperature, top_p, top_k, min_p: see request.Options; the values are those of a model that says nothing."""

  temperature: NotNegative = 1.0
  top_p: Annotated[float, Range(gt=0, le=1)] = 0.95
  top_k: Annotated[int, Range(ge=0, lt=2**31)] = 0
  min_p: Annotated[float, Range(ge=0, le=1)] = 0.0


def taken(files: dict[str, bytes], given: dict) -> dict[str, float]:
  """Those fields of Drawn that a model names and nobody has given.

  Args:
    files: of its tokenizer, by name. do_sample=false is temperature 0, top_k=-1 is 0 (off), null is not named.
    given: what somebody said, None where nobody did.

  Raises:
    ValueError: the file is no JSON object, or has a value that would count and cannot be sampled with.
  """
  values = hub_tokenizer.settings(files, FILE)
  named = {name: values[name] for name in Drawn._fields if values.get(name) is not None}
  if named.get('top_k') == -1:
    named['top_k'] = 0
  if values.get('do_sample') not in (None, True, False):
    raise ValueError(f'{FILE}: do_sample={values["do_sample"]!r} must be true or false')
  if values.get('do_sample') is False:
    named['temperature'] = 0.0
  named = {name: value for name, value in named.items() if given.get(name) is None}
  try:
    bound = config_lib.bind(Drawn, named, FILE)
  except ValueError as error:
    raise ValueError(f'{error}; a flag of that name goes before it') from error
  return {name: getattr(bound, name) for name in named}


def said(values: dict[str, float], files: dict[str, bytes]) -> str:
  """What of a model's file was taken, and what of it is not done, in a line; '' if nothing is."""
  shown = lambda named: ', '.join(f'{name}={value}' for name, value in named.items())
  found = hub_tokenizer.settings(files, FILE)
  idle = {name: found[name] for name, off in OTHERS.items() if found.get(name) not in (None, off)}
  parts = [shown(values)] * bool(values) + [f'not done here: {shown(idle)}'] * bool(idle)
  return f'{FILE} of the model: {"; ".join(parts)}' if parts else ''
