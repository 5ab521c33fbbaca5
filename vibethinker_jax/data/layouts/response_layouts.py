r"""Responses of published rows: whole texts, with the reasoning in <think> where it stands apart, and right ones alone.

responses({'problem': '3+4?', 'generations': ['\\boxed{7}', '\\boxed{8}'], 'correctness_math_verify': [True, False]})
    .fields == {'responses': ['\\boxed{7}']}
"""

import ast
import re
from typing import Any

from vibethinker_jax.data.layouts import chat_layouts
from vibethinker_jax.data.layouts.layout_fields import Found, Unusable, decoded, filled, first, text

# Whole responses of a model, before those of a conversation; after them what mostly is a person's short solution.
WHOLE = (
  'generations',
  'responses',
  'response',
  'r1_generation',
  'generation',
  'generated_solution',
  'llm_response',
  'r1_solution',
  'r1_response',
  'model_response',
  'completions',
  'completion',
  'output',
  'outputs',
  'Response',
  'generated_text',
  'assistant',
  'reannotated_assistant_content',
  'targets',
  'chosen',
)
SHORT = ('solution', 'solutions', 'Solution', 'rationale', 'gold_standard_solution')
_WORD = re.compile(r'(?<![\\\w])[A-Za-z]{2,}')  # four of them, a box, a block or several lines are no short answer
_THOUGHT = re.compile(
  r'(.*?)(reasoning_content|reasoning_trace|reasoning|thinking_trajector(?:y|ies)|thinking|think_content|think|'
  r'complex_cot|chain_of_thought|cot|thoughts?)',
  re.IGNORECASE,
)
_NUMBERED = re.compile(r'r1_solution_\d+')
_SAID = (
  'content',
  'response',
  'answer_content',
  'output',
  'attempt',
  'completion',
  'final_response',
  'answer',
  'solution',
  'final_answer',
)
_FLAGS = {
  'on',
  'off',
  'true',
  'false',
  'yes',
  'no',
  'none',
  'null',
  'low',
  'medium',
  'high',
}  # `reasoning` that is no text
_IN_TURN = ('reasoning_content', 'reasoning', 'thinking', 'think_content', 'thought')
_OF_OBJECT = ('response', 'content', 'text', 'generation', 'output', 'completion', 'solution', 'value', 'answer')
_TAGGED = re.compile(r'\s*<think>(.*?)</think>\s*<answer>(.*)</answer>\s*', re.DOTALL)
_MARKED = re.compile(
  r'\s*<\|begin_of_thought\|>(.*?)<\|end_of_thought\|>\s*<\|begin_of_solution\|>(.*?)'
  r'(?:<\|end_of_solution\|>)?\s*',
  re.DOTALL,
)
# Verdicts on a generation, or lists of them. The first two judge the same in two ways: one that says right is enough.
_EITHER = ('correctness_math_verify', 'correctness_llama')
_VERDICTS = (
  'correctness',
  'is_correct',
  'correct',
  'verified',
  'is_verified',
  'passed',
  'accepted',
  'r1_correctness',
  'judgement',
  'judgment',
  'verdict',
  'verifier_score',
  'verify_score',
  'average_test_score',
  'kto_tag',
)
_SCORES = (
  'score',
  'reward',
  'scores',
  'rewards',
)  # verdicts beside `llm_response` or `verification_info`, else ratings
_WHOLE = ('is_reasoning_complete', 'is_complete')
_ENDS = ('finish_reasons', 'finish_reason')
_SAYS = {*_EITHER, *_VERDICTS, *_SCORES, *_WHOLE, *_ENDS}
_RIGHT = {'true', 'yes', 'right', 'correct', 'pass', 'passed', 'accepted', 'valid'}
_WRONG = {'false', 'no', 'wrong', 'incorrect', 'fail', 'failed', 'rejected', 'invalid'}


def thought(reasoning: Any, said: Any) -> str:
  """One text of reasoning and what is said after it; of either alone that, and a text that thinks already stays."""
  reasoning, said = text(reasoning), text(said)
  if not reasoning or '</think>' in said:
    return said
  reasoning = reasoning.removeprefix('<think>').removesuffix('</think>').strip()
  return f'<think>\n{reasoning}\n</think>\n\n{said}' if said else ''


def right(verdict: Any) -> bool | None:
  """What a verdict says: true and false, words, or a score that is right from 1 on; None where it says nothing."""
  if isinstance(verdict, str):
    word = verdict.strip().lower()
    if word in _RIGHT or word in _WRONG:
      return word in _RIGHT
    try:
      verdict = float(word)
    except ValueError:
      return None
  if isinstance(verdict, bool):
    return verdict
  return verdict >= 1 if isinstance(verdict, (int, float)) and verdict >= 0 else None


def responses(row: dict, code: bool = False) -> Found | None:
  """The row's responses, those with a wrong verdict or without an end left out; None if no layout says where they are.

  Args:
    code: the row is judged by tests, so that a solution which is a bare program becomes a ```python block.

  Raises:
    Unusable: there are some, and none is right and whole. ValueError: verdicts that do not fit them.
  """
  for family in (_apart, _numbered, _whole, _conversation, _preferred, _short, _spoken_answer):
    if found := family(row):
      texts = [value for value in found.fields['responses'] if value.strip()]
      if not texts:
        raise Unusable(f'no response in {", ".join(found.used)} is {found.said or "text"}')
      if family is _short and code:
        texts = [_fenced(value) for value in texts]
      return found._replace(fields={'responses': [_plain(row, value) for value in texts]})
  return None


def every(row: dict) -> list[str]:
  """All that `responses` finds, [] where nothing in the row is of use."""
  try:
    return (responses(row) or Found({'responses': []}, ())).fields['responses']
  except Unusable:
    return []


def boxed(response: str) -> str:
  """A solution in GSM8K's form without its <<6*7=42>>, and with a box instead of its #### 42."""
  said, marker, last = response.rpartition('\n#### ')
  return re.sub(r'<<[^<>]*>>', '', said) + f'\n\\boxed{{{last.strip()}}}' if marker else response


def candidates(row: dict) -> list[str]:
  """The names of all fields that some layout takes for a response."""
  names = [name for name in row if name in WHOLE + SHORT or _NUMBERED.fullmatch(name)]
  return names + [part for pair in _pairs(row) for part in pair]


def _pairs(row: dict) -> list[tuple[str, str]]:
  """(reasoning, what is said) of the fields that stand apart, DeepSeek's before another model's."""
  found, lower = [], {name.lower(): name for name in row}
  for name, value in row.items():
    match = _THOUGHT.fullmatch(name)
    if match and _is_thought(value):
      names = [lower.get(match[1].lower() + last, '') for last in _SAID]
      said = first(row, names)
      if said and isinstance(row[said], str):
        found.append((name, said))
  return sorted(found, key=lambda pair: not pair[0].startswith('deepseek'))


def _is_thought(value: Any) -> bool:
  if isinstance(value, list):
    return bool(value) and all(isinstance(step, str) for step in value)
  return bool(text(value)) and text(value).lower() not in _FLAGS


def _apart(row: dict) -> Found | None:
  pairs = _pairs(row)
  if not pairs or filled(row.get('generations')):
    return None
  thinks, says = pairs[0]
  reasoning = '\n'.join(row[thinks]) if isinstance(row[thinks], list) else row[thinks]
  prefix = _THOUGHT.fullmatch(thinks)[1]
  if not prefix and says in ('answer', 'final_answer', 'solution') and (found := _whole(row) or _conversation(row)):
    return found  # `answer` may be just the number
  further = tuple(prefix + name for name in ('grade', 'correctness', 'correct'))
  kept, used, said = _judged(row, [thought(reasoning, row[says])], further)
  return Found({'responses': kept}, (thinks, says) + used, 'reasoning apart from the answer', said)


def _numbered(row: dict) -> Found | None:
  names = sorted(filter(_NUMBERED.fullmatch, row), key=lambda name: int(name[12:]))
  texts = [row[name] for name in names if text(row[name])]
  return Found({'responses': texts}, tuple(names), 'DeepMath') if texts else None


def _whole(row: dict) -> Found | None:
  name = first(row, WHOLE)
  value = decoded(row[name]) if name in ('generations', 'responses', 'completions', 'outputs') else row.get(name)
  if not name or isinstance(value, (int, float, bool)):
    return None
  if (
    name == 'r1_solution'
    and '</think>' not in str(value)
    and (found := _conversation(row))
    and any('</think>' in one for one in found.fields['responses'])
  ):  # KodCode: the program alone, beside all that R1 said
    return found
  listed = isinstance(value, list) and isinstance(value[0], dict) and {'role', 'from'} & value[0].keys()
  messages = chat_layouts.turns(value) if listed or name == 'chosen' and isinstance(value, str) else None
  if messages:
    said = chat_layouts.split(messages)[1]
    further = ('label',) if isinstance(row.get('label'), bool) else ()  # KTO
    kept, used, told = _judged(row, [_spoken(said)] if said else [], further)
    return Found({'responses': kept}, (name,) + used, 'prompt and completion', told)
  many = value if isinstance(value, list) else [value]
  told = ['' if one is None else _of_object(one) for one in many]
  if not all(isinstance(one, str) for one in told):
    return None
  further = ('pass_rate', 'judgement') if name == 'r1_generation' else ()
  if name == 'completion' and isinstance(row.get('label'), bool):  # KTO
    further = ('label',)
  kept, used, said = _judged(row, told, further, objects=many)
  layout = {'generations': 'OpenR1-Math', 'completion': 'prompt and completion', 'output': 'input and output'}.get(
    name, ''
  )
  return Found({'responses': [one for one in kept if one.strip()]}, (name,) + used, layout, said)


def _of_object(value: Any) -> Any:
  name = first(value, _OF_OBJECT) if isinstance(value, dict) else ''
  if not name:
    return value
  thinks = first(value, _IN_TURN)
  return thought(value[thinks], value[name]) if thinks and _is_thought(value[thinks]) else value[name]


def _conversation(row: dict) -> Found | None:
  name, messages = chat_layouts.conversation(row)
  said = chat_layouts.split(messages)[1] if messages else None
  if not said or 'ground_truth' in said:  # Open-Reasoner-Zero's last turn is the answer, no response
    return None
  told = said['info'] if isinstance(said.get('info'), dict) else {}
  kept, used, words = _judged(row | {key: told[key] for key in _VERDICTS if key in told}, [_spoken(said)])
  return Found({'responses': kept}, (name,) + used, '', words)


def _spoken(turn: dict) -> str:
  """The text of a turn of the assistant, with its reasoning where the turn has it apart (also in AM's `info`)."""
  told = turn['info'] if isinstance(turn.get('info'), dict) else {}
  if text(told.get('answer_content')) and text(told.get('think_content')):
    return thought(told['think_content'], told['answer_content'])
  for held in (turn, told):
    thinks = first(held, _IN_TURN)
    if thinks and _is_thought(held[thinks]):
      return thought(held[thinks], turn['content'])
  return turn['content'] if isinstance(turn['content'], str) else ''


def of_conversation(value: Any) -> str | None:
  """The text of the last turn of a conversation if the assistant's; None for what is none."""
  messages = chat_layouts.turns(value) if isinstance(value, list) and value and isinstance(value[0], dict) else None
  said = chat_layouts.split(messages)[1] if messages else None
  return _spoken(said) if said else None


def _short(row: dict) -> Found | None:
  name = first(row, SHORT)
  value = decoded(row[name]) if name == 'solutions' else row.get(name)
  if isinstance(value, dict) and isinstance(value.get('solution'), list):  # CodeContests; language 3 is Python 3
    kinds = value.get('language') or [3] * len(value['solution'])
    value = [source for kind, source in zip(kinds, value['solution']) if kind in (3, 'PYTHON3')]
  if not name or not filled(value) and name == 'solution':
    return None
  many = value if isinstance(value, list) else [value]
  if not all(isinstance(one, str) for one in many):
    return None
  return Found({'responses': [one for one in many if one.strip()]}, (name,))


def _preferred(row: dict) -> Found | None:
  """The better one of two in columns (PKU-SafeRLHF)."""
  better = row.get('better_response_id')
  name = f'response_{better}' if isinstance(better, int) and not isinstance(better, bool) else ''
  return Found({'responses': [row[name]]}, (name, 'better_response_id')) if name and text(row.get(name)) else None


def _spoken_answer(row: dict) -> Found | None:
  """An `answer` that is a whole response: its length says so, or another answer beside it that is judged by."""
  said = text(row.get('answer'))
  whole = (
    len(_WORD.findall(said)) >= 4
    or any(mark in said for mark in ('\\boxed', '```', '\n'))
    or (said and row.keys() & {'reference_answer', 'gold_answer'})
  )
  return (
    Found({'responses': [row['answer']]}, ('answer',)) if whole and not first(row, ('choices', 'options')) else None
  )


def _judged(row: dict, texts: list[str], further: tuple = (), objects: list | None = None) -> tuple[list, tuple, str]:
  """(the texts that are right and whole, the fields that say so, in words); all of them where nothing does."""
  if not row.keys() & _SAYS.union(further) and not any(isinstance(one, dict) for one in objects or ()):
    return texts, (), ''
  scores = _SCORES if first(row, ('llm_response', 'verification_info')) else ()
  either = _verdicts(row, _EITHER, len(texts))
  every = _verdicts(row, _VERDICTS + scores + further, len(texts))
  whole = _verdicts(row, _WHOLE, len(texts))
  kept = []
  for i, response in enumerate(texts):
    told = objects[i] if objects and isinstance(objects[i], dict) else {}
    ends = [_one(row[name], i) for name in _ENDS if name in row]
    if (
      either
      and not any(right(verdicts[i]) for verdicts in either.values())
      or any(right(verdicts[i]) is False for verdicts in every.values())
      or any(right(told.get(name)) is False for name in _VERDICTS + _SCORES)
      or any(verdicts[i] is False for verdicts in whole.values())
      or 'length' in ends
    ):
      continue
    kept.append(response)
  told = [('right', [*either, *every]), ('whole', list(whole) + [name for name in _ENDS if row.get(name)])]
  words = ' and '.join(f'{word} by {", ".join(names)}' for word, names in told if names)
  return kept, tuple(dict.fromkeys([*either, *every, *whole])), words


def _verdicts(row: dict, names: tuple, count: int) -> dict[str, list]:
  """The verdicts on each of `count` responses by field; fields that hold none are left out."""
  found = {}
  for name in dict.fromkeys(names):
    value = decoded(row.get(name))
    if isinstance(value, list) and value:
      if len(value) != count:
        raise ValueError(f'{name!r} has {len(value)} verdicts on {count} responses')
      found[name] = value
    elif not isinstance(value, (list, dict)) and right(value) is not None:
      found[name] = [value] * count
  return found


def _one(value: Any, i: int) -> Any:
  value = decoded(value)
  return value[i] if isinstance(value, list) and i < len(value) else value


def _plain(row: dict, response: str) -> str:
  """Other marks of thought and answer (AM's, Bespoke-Stratos's) as <think>, unless the system turn asks for those
  marks."""
  if response.rstrip().endswith('</answer>') and (match := _TAGGED.fullmatch(response)):
    return thought(match[1], match[2])
  if '<|begin_of_thought|>' in response[:200] and (match := _MARKED.fullmatch(response)):
    asked = text(row.get('system')) + ''.join(
      str(turn['content']) for turn in chat_layouts.conversation(row)[1] or () if turn['role'] == 'system'
    )
    return response if 'begin_of_thought' in asked else thought(match[1], match[2])
  return response


def _fenced(source: str) -> str:
  """A program that stands without a block in one; whatever is no Python as it is."""
  if '```' in source:
    return source
  try:
    ast.parse(source)
  except (SyntaxError, ValueError, RecursionError, MemoryError):
    return source
  return f'```python\n{source.strip()}\n```'
