r"""Questions: which field of a published row asks, and conversations in every form as chat messages.

turns([{'from': 'human', 'value': '3+4?'}, {'from': 'gpt', 'value': '7'}])
    == [{'role': 'user', 'content': '3+4?'}, {'role': 'assistant', 'content': '7'}]
"""

import re
from typing import Any

from vibethinker_jax.data.layouts.layout_fields import Found, Unusable, decoded, filled, first, text

PLAIN = (
  'prompt',
  'problem',
  'question',
  'Problem',
  'Question',
  'question_text',
  'problem_text',
  'problem_statement',
  'Open-ended Verifiable Question',
)
CONVERSATIONS = ('messages', 'conversations', 'conversation', 'dialogue', 'turns', 'chat')
# After conversations:
OTHERS = (
  'query',
  'user_prompt',
  'user',
  'description',
  'inputs',
  'question_content',
  'ctx',
  'sentence',
  'goal',
  'sent1',
  'instruct_prompt',
)
# What a question is about, where that stands beside it: a passage, a story, a table, SVAMP's and ASDiv's first
# sentences.
_ABOUT = ('article', 'passage', 'context', 'Body', 'body', 'narrative', 'story', 'premise', 'table')
_MARKED = re.compile(r'(?:^|\n\n|\n?### ?)(Human|Assistant): ?')
_ROLES = {
  'human': 'user',
  'prompter': 'user',
  'gpt': 'assistant',
  'chatgpt': 'assistant',
  'bot': 'assistant',
  'model': 'assistant',
  'ai': 'assistant',
}
_USER = ('human', 'user', 'input', 'instruction', 'question')  # of a turn that is a pair
_ASSISTANT = ('assistant', 'gpt', 'output', 'response', 'answer')
LEFT_AWAY = '-'  # what OpenCodeReasoning puts where a question may not be handed on


def turns(value: Any) -> list[dict] | None:
  """Chat messages of a conversation; each keeps its further fields. None for what is no conversation.

  Args:
    value: ShareGPT's from and value, role and content, pairs of human and assistant, or texts in turn; or text of
      these, also with 'Human:' and 'Assistant:' before what they say.
  """
  value, found = decoded(value), []
  value = _marked(value) if isinstance(value, str) else value
  value = [value[key] for key in sorted(value)] if is_columns(value) else value
  if not isinstance(value, list) or not value:
    return None
  for i, turn in enumerate(value):
    if isinstance(turn, str) and len(value) > 1:
      found.append({'role': 'assistant' if i % 2 else 'user', 'content': turn})
    elif not isinstance(turn, dict):
      return None
    elif isinstance(role := turn.get('role', turn.get('from')), str):
      content = turn.get('content', turn.get('value'))
      parts = content if isinstance(content, list) else []
      if parts and all(isinstance(part, dict) and isinstance(part.get('text'), str) for part in parts):
        content = '\n'.join(part['text'] for part in parts)
      role = role.strip().lower()
      found.append(turn | {'role': _ROLES.get(role, role), 'content': content})
    elif (asks := first(turn, _USER)) and (says := first(turn, _ASSISTANT)):
      found += [{'role': 'user', 'content': turn[asks]}, {'role': 'assistant', 'content': turn[says]}]
    else:
      return None
  return found


def _marked(value: str) -> list[dict]:
  """The turns of HH-RLHF's and Guanaco's texts; [] of one that does not begin with such a mark and have an answer."""
  if not _MARKED.match(value) or 'Assistant:' not in value:
    return []
  _, *parts = _MARKED.split(value)
  return [{'from': speaker, 'value': said.strip()} for speaker, said in zip(parts[::2], parts[1::2])]


def is_columns(value: Any) -> bool:
  """Whether turns stand in columns 0, 1, ..., as tables hold a list of lists."""
  return (
    isinstance(value, dict)
    and '0' in value
    and all(key.isdigit() and isinstance(turn, dict) and 'from' in turn for key, turn in value.items())
  )


def split(messages: list[dict]) -> tuple[list[dict], dict | None]:
  """(what stands before the last turn of the assistant, that turn), or (all of it, None) if it does not end in one."""
  if messages[-1]['role'] == 'assistant':
    return messages[:-1], messages[-1]
  return messages, None


def conversation(row: dict) -> tuple[str, list[dict] | None]:
  """(name, messages) of the first field with a conversation; ('', None) without."""
  for name in CONVERSATIONS:
    if filled(row.get(name)) and not (name == 'turns' and _asked_in_turn(row[name])) and (found := turns(row[name])):
      return name, found
  for name, kind in (('data', list), ('text', str)):  # UltraChat, Guanaco: names that others give to anything else
    if name in row and first(row, PLAIN + OTHERS + ('instruction', 'input')):
      break
    if isinstance(row.get(name), kind) and (found := turns(row[name])):
      return name, found
  return '', None


def _asked_in_turn(value: Any) -> bool:
  """Whether all turns are the user's: LiveBench's and MT-Bench's `turns` are texts."""
  return isinstance(value, list) and bool(value) and all(isinstance(turn, str) for turn in value)


def question(row: dict) -> Found:
  """What the row asks, as text or messages, and its `system`, if a layout says where; else no fields.

  Raises:
    Unusable: the set leaves the question out.
  """
  found = _asked(row)
  asked = found.fields.get('problem', row.get(found.used[0]) if found.used else None)
  if text(asked) == LEFT_AWAY:
    raise Unusable(
      f'the question ({found.used[0]!r}) is "-": this set leaves its questions out, take them from where '
      'they were first published'
    )
  name = first(row, ('system', 'system_prompt', 'system_message'))
  if not name or not text(row[name]):
    return found
  return found._replace(fields=found.fields | {'system': row[name]}, used=found.used + (name,))


def _asked(row: dict) -> Found:
  for family in (_leetcode, _codeforces, _stem, _plain, _conversation, _alpaca, _input, _others):
    if found := family(row):
      return found
  return Found({}, ())


def _plain(row: dict) -> Found | None:
  """Text or messages under the usual names, which are read as they are; other forms of a conversation become
  messages."""
  name = next((name for name in PLAIN if row.get(name) is not None), '')
  if not name:
    return None
  messages = None if isinstance(row[name], str) and row[name].lstrip()[:1] != '[' else turns(row[name])
  if messages and any(isinstance(turn['content'], str) for turn in messages):
    given = row[name] if isinstance(row[name], list) else []
    same = [turn['role'] for turn in messages] == [turn.get('role') for turn in given if isinstance(turn, dict)]
    return Found({} if same and name in PLAIN[:3] else {'problem': _bare(messages)}, (name,))
  history = turns(row.get('prev_messages') or row.get('history') or None)
  if history and text(row[name]):
    return Found({'problem': _bare(history) + [{'role': 'user', 'content': row[name]}]}, (name, 'prev_messages'))
  return Found({}, (name,)) if name in PLAIN[:3] else Found({'problem': row[name]}, (name,))


def _bare(messages: list[dict]) -> list[dict]:
  return [{'role': turn['role'], 'content': turn['content']} for turn in messages]


def _conversation(row: dict) -> Found | None:
  name, messages = conversation(row)
  if not messages:
    return None
  before, _ = split(messages)
  layout = 'ShareGPT' if name != 'messages' else 'chat messages'
  return Found({'problem': _bare(before)}, (name,), layout) if before else None


def _alpaca(row: dict) -> Found | None:
  if not text(row.get('instruction')):
    return None
  beside = first(row, ('input', 'context'))
  given = text(row[beside]) if beside else ''
  asked = row['instruction'] + (f'\n\n{row[beside]}' if given and given.lower() not in ('<noinput>', 'n/a') else '')
  history = [
    turn
    for pair in row.get('history') or ()
    if isinstance(pair, list) and len(pair) == 2
    for turn in zip(('user', 'assistant'), pair)
  ]
  if history:
    asked = [{'role': role, 'content': content} for role, content in history] + [{'role': 'user', 'content': asked}]
  return Found({'problem': asked}, ('instruction',) + (beside,) * bool(given) + ('history',) * bool(history), 'Alpaca')


def _input(row: dict) -> Found | None:
  """Nemotron's and OpenCodeReasoning's `input`, text or messages."""
  value = row.get('input')
  messages = None if isinstance(value, str) and value.lstrip()[:1] != '[' else turns(value)
  if messages:
    return Found({'problem': _bare(messages)}, ('input',), 'input and output')
  return Found({'problem': value}, ('input',), 'input and output') if text(value) else None


def _others(row: dict) -> Found | None:
  name = first(row, OTHERS)
  if not name and _asked_in_turn(row.get('turns')) and len(row['turns']) == 1:
    return Found({'problem': row['turns'][0]}, ('turns',), 'LiveBench')
  return Found({'problem': row[name]}, (name,)) if name and text(row[name]) else None


def _leetcode(row: dict) -> Found | None:
  """LeetCodeDataset, whose `prompt` is a block of imports."""
  if not text(row.get('problem_description')):
    return None
  imports = ('prompt',) if 'entry_point' in row or text(row.get('prompt')).startswith(('import ', 'from ')) else ()
  return Found({'problem': row['problem_description']}, ('problem_description',) + imports, 'LeetCodeDataset')


def _codeforces(row: dict) -> Found | None:
  """open-r1's codeforces: the statement in parts, all of which a model has to see."""
  if not text(row.get('description')) or not {'input_format', 'output_format'} & row.keys() or text(row.get('prompt')):
    return None
  parts = [f'# {text(row.get("title"))}'] * bool(text(row.get('title'))) + [row['description']]
  if isinstance(row.get('time_limit'), (int, float)):
    parts.append(f'Time limit: {row["time_limit"]} seconds')
  named = (('input_format', 'Input'), ('output_format', 'Output'), ('interaction_format', 'Interaction'))
  parts += [f'## {heading}\n{row[name].strip()}' for name, heading in named if text(row.get(name))]
  shown = decoded(row.get('examples')) or []
  shown = shown if isinstance(shown, list) and all(isinstance(case, dict) for case in shown) else []
  parts += [
    f'## Example {i}\nInput:\n```\n{str(case.get("input", "")).rstrip()}\n```\nOutput:\n```\n'
    f'{str(case.get("output", "")).rstrip()}\n```'
    for i, case in enumerate(shown, 1)
  ]
  parts += [f'## Note\n{text(row.get("note"))}'] * bool(text(row.get('note')))
  used = ('title', 'description', 'input_format', 'output_format', 'interaction_format', 'examples', 'note')
  return Found({'problem': '\n\n'.join(parts)}, tuple(name for name in used if filled(row.get(name))), 'codeforces')


def _stem(row: dict) -> Found | None:
  """Questions with the text that they are about (RACE, LogiQA), and OpenBookQA's stem."""
  held = decoded(row.get('question'))
  stem = text(held.get('stem')) if isinstance(held, dict) else text(row.get('question_stem'))
  asked, used = (stem, ('question',) if isinstance(held, dict) else ('question_stem',)) if stem else ('', ())
  name = first(row, ('question', 'query', 'Question')) if not stem else ''
  about = first(row, _ABOUT + ('text',) * ('options' in row) + ('hint',) * ('lecture' in row))  # LogiQA, ScienceQA
  said = _said_of(row[about]) if about else ''
  if said and not row.get('prompt') and (stem or name and text(row[name])) and said not in (stem or row[name]):
    return Found({'problem': f'{said}\n\n{(stem or row[name]).strip()}'}, (about,) + (used or (name,)))
  return Found({'problem': asked}, used) if stem else None


def _said_of(value: Any) -> str:
  """A passage as text; PubMedQA's is an object with its parts."""
  parts = value.get('contexts') if isinstance(value, dict) else value
  return '\n'.join(parts) if isinstance(parts, list) and all(isinstance(one, str) for one in parts) else text(value)


def paired(row: dict, name: str) -> Found | None:
  """The question of the very conversation whose last turn is trained on, unless the row's own question is all of it."""
  messages = turns(row.get(name)) if name in CONVERSATIONS + ('chosen', 'data', 'text') else None
  before = split(messages)[0] if messages else []
  asked = row.get(first(row, PLAIN))
  if not before or [turn['content'] for turn in before] == [asked]:
    return None
  return Found({'problem': _bare(before)}, (name,))


def before_answer(value: Any) -> list[dict] | None:
  """Of a conversation what stands before the last turn of the assistant, as messages; None for what is none."""
  messages = turns(value) if isinstance(value, list) else None
  return _bare(split(messages)[0]) if messages else None
