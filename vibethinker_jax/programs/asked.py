"""What a stage asks, as rendered: the first prompt of each kind of problem, in the log, and in asked.json for the
report."""

from collections.abc import Iterable
import logging

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import wording
from vibethinker_jax.data.tokens import chat
from vibethinker_jax.eval.pages.drawing import cut
from vibethinker_jax.programs.stage import Stage
from vibethinker_jax.runtime import hosts

NAME = 'asked.json'  # [{'kind', 'tokens', 'text'}, ...]
CHARS = 1500  # of one prompt; the middle of a longer one is left out
UNJUDGED = 'other'  # the kind of constraints, and of examples that nothing judges


def firsts(rows: Iterable[dict]) -> dict[str, dict]:
  """{kind: the first problem of it}."""
  found = {}
  for row in rows:
    found.setdefault(wording.kind_of(row, str(row.get('problem', ''))) or UNJUDGED, row)
  return found


def first_examples(sources: list) -> dict[str, dict]:
  """{kind: the first example of it} of sources of examples."""
  found = {}
  for source in sources:
    for kind, index in source.firsts.items():
      found.setdefault(kind or UNJUDGED, source[index])
  return found


def show(stage: Stage, tokenizer, found: dict[str, dict]) -> None:
  """Says on host 0 what the model reads first of each kind, with the control tokens of the chat template.

  Args:
    found: {kind: row with prompt}.
  """

  def said() -> None:
    shown = []
    for kind, row in found.items():
      ids = chat.encode_prompt(tokenizer, row)
      shown.append({'kind': kind, 'tokens': len(ids), 'text': cut(tokenizer.show(ids), CHARS)})
      logging.getLogger('vibethinker_jax').info(
        'stage %s: the first prompt (%s), %d tokens:\n%s',
        stage.name,
        kind,
        len(ids),
        '\n'.join(f'  | {line}' for line in shown[-1]['text'].split('\n')),
      )
    config_lib.write_json(stage.directory / NAME, shown)

  hosts.agreed(said, 'the first prompts')
