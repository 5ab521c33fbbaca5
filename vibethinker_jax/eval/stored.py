"""Responses that somebody else stored: JSON lines of any evaluation, with or without the problems in them."""

import collections
from typing import NamedTuple

from vibethinker_jax.data import fields as fields_lib, sources
from vibethinker_jax.data.files import rows as rows_lib
from vibethinker_jax.eval import sets

RESPONSE = 'response|responses|output|outputs|completion|completions|generation|generations'
ID = 'id|task_id|problem_id|question_id|unique_id|idx|index'
TOKENS = 'tokens|completion_tokens|num_tokens|response_tokens'


class Stored(NamedTuple):
  """lines: as in a journal. theirs: {(set, id, sample): bool}, the file's own verdicts, if a field was named."""

  lines: list
  theirs: dict


def problems(options: sources.DataOptions) -> list[dict]:
  """The problems that a file of responses brings along: each once, however many responses it has.

  Raises:
    ValueError: a row without prompt, or without answer and tests.
  """
  rows = sources.read_problems(options)
  first = {}
  for row in rows:
    first.setdefault(_text(row['prompt']), row)
  return list(first.values())


def read(
  files: str, names: list[str], rows_by_set: dict, options: sources.DataOptions, verdict_field: str = '', count=None
) -> Stored:
  """Matches stored responses with problems: by set and id (our own lines), by id, else by the text of the prompt.

  Args:
    files: of responses. names: of the sets, in order. rows_by_set: {set: problems}.
    options: fields of prompt and response. verdict_field: of the file's own verdict. count: text -> its tokens.

  Raises:
    ValueError: a response that belongs to no problem, without text, or given twice as the same sample.
  """
  by_id, by_text = collections.defaultdict(list), collections.defaultdict(list)
  for name in names:
    for row in rows_by_set[name]:
      by_id[row['id']].append((name, row['id']))
      for text in {_text(row['prompt']), row['problem']}:
        by_text[text].append((name, row['id']))
  rows = rows_lib.Rows(rows_lib.paths(files))
  lines, theirs, taken = [], {}, collections.Counter()
  for i in range(len(rows)):
    row = rows[i]
    name, owner = _owner(row, rows.location(i), names, by_id, by_text, options)
    value = fields_lib.field(row, options.response or RESPONSE)
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts) or not texts:
      raise ValueError(
        f'{rows.location(i)}: the response ({options.response or RESPONSE!r}) must be text or a list of '
        f'texts; found {", ".join(row)}; --response_field names another'
      )
    for text in texts:
      own = row.get('sample') if len(texts) == 1 and isinstance(row.get('sample'), int) else None
      key = name, owner, taken[name, owner] if own is None else own
      taken[name, owner] += 1
      tokens = _tokens(row) if len(texts) == 1 else None
      lines.append(
        {
          'set': name,
          'id': owner,
          'sample': key[2],
          'response': text,
          'cut_off': _cut_off(row),
          'tokens': count(text) if count else tokens,
        }
      )
      if verdict_field:
        theirs[key] = _verdict(row, verdict_field, rows.location(i))
  twice = [key for key, n in collections.Counter((x['set'], x['id'], x['sample']) for x in lines).items() if n > 1]
  if twice:
    raise ValueError(f'{files}: {len(twice)} samples are given twice, the first is {twice[0]}')
  return Stored(lines, theirs)


def _owner(row, location, names, by_id, by_text, options) -> tuple[str, str]:
  if row.get('set') in names and (row['set'], str(row.get('id'))) in by_id[str(row.get('id'))]:
    return row['set'], str(row['id'])
  found = []
  try:
    prompt = fields_lib.prompt(row, options)  # as it was asked, or bare
    found = by_text[_text(prompt)] or by_text[sets.bare({'prompt': prompt})]
  except ValueError:  # no prompt in it: then its id has to do
    for name in ID.split('|'):
      found = found or by_id.get(str(row.get(name)), []) if row.get('set') in (None, *names) else []
  if len(found) != 1:
    raise ValueError(
      f'{location}: the response belongs to {"no problem" if not found else "several problems"} of '
      f'{", ".join(names)}: a line needs "id" (and "set" where there are several), or the prompt as it '
      'is in the data'
    )
  return found[0]


def _text(prompt) -> str:
  return prompt if isinstance(prompt, str) else '\n'.join(turn['content'] for turn in prompt)


def _tokens(row: dict) -> int | None:
  found = fields_lib.field(row, TOKENS)
  return found if type(found) is int else None


def _cut_off(row: dict) -> bool | None:
  if isinstance(row.get('cut_off'), bool):
    return row['cut_off']
  return row['finish_reason'] == 'length' if isinstance(row.get('finish_reason'), str) else None


def _verdict(row: dict, field: str, location: str) -> bool:
  value = fields_lib.field(row, field)
  value = value[0] if isinstance(value, list) and len(value) == 1 else value
  if not isinstance(value, (bool, int, float)):
    raise ValueError(f'{location}: --verdict_field={field} must be true or false, or a number; it is {value!r}')
  return value > 0


def agreement(theirs: dict, lines: list[dict]) -> dict:
  """How often our verdicts are those of the file: counts, both scores, and every disagreement."""
  mine = {(x['set'], x['id'], x['sample']): x for x in lines}
  pairs = [(mine[key], verdict) for key, verdict in theirs.items() if key in mine and mine[key]['status'] != 'invalid']
  differ = [(line, verdict) for line, verdict in pairs if (line['status'] == 'correct') != verdict]
  return {
    'responses': len(pairs),
    'agree': len(pairs) - len(differ),
    'theirs_correct': sum(verdict for _, verdict in pairs),
    'ours_correct': sum(line['status'] == 'correct' for line, _ in pairs),
    'disagreements': [
      {
        **{name: line[name] for name in ('set', 'id', 'sample', 'status', 'reason', 'answer')},
        'theirs': 'correct' if verdict else 'wrong',
      }
      for line, verdict in differ
    ],
  }
