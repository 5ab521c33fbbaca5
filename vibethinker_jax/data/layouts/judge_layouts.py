r"""How a published row is judged: by tests of a program, by a letter, or by an answer, wherever they stand.

Text of JSON is first looked at as tests, so that these are never taken for a maths answer.
"""

import builtins
import re
from typing import Any

from vibethinker_jax.data.layouts import (
  answers,
  chat_layouts,
  choice_layouts,
  code_layouts,
  constraint_layouts,
  unittest_layouts,
)
from vibethinker_jax.data.layouts.layout_fields import Found, Unusable, decoded, filled, first, text

TESTS = ('tests', 'test_cases', 'input_output', 'test_case', 'testcases', 'unit_tests', 'unit_test')
ANSWERS = (
  'answer',
  'reward_model.ground_truth',
  'final_answer',
  'ground_truth',
  'target',
  'expected_answer',
  'gold',
  'reference_answer',
  'correct_answer',
  'Answer',
  'gold_answer',
  'ground_truth_answer',
  'answer_number',
  'Ground-True Answer',
  'reward_spec.ground_truth',
  'gt_answer',
  'final_ans',
  'Short Answer',
)
_CALLED = re.compile(r'^assert\s+\(*(\w+)\(', re.MULTILINE)
_LONG = 100  # characters: an `answer` that is the whole text of a response
_ALTERNATIVES = ('reward_model.ground_truth', 'reward_spec.ground_truth', 'ground_truth')
_VALUE = ('value', 'ground_truth', 'answer', 'reference_answer', 'expected_answer')
# Where sets put what they know of a row; an answer or tests in it count where the row itself has none.
_BESIDE = ('info', 'extra_info', 'metadata', 'meta_data')
_ANSWERED = {
  'response',
  'responses',
  'completion',
  'output',
  'chosen',
  'messages',
  'conversations',
}  # a `label` judges these
_UNIT = re.compile(r'([-+]?[\d.,/]+)\s*\(([^()\d]+)\)')  # ASDiv's '7 (apples)'
_PUZZLE = re.compile(r'logic|puzzle', re.IGNORECASE)
_NONE = {'proof', 'notfound', 'not found'}  # what NuminaMath has for an answer where there is none


def read(row: dict) -> Found | None:
  """`tests`, `constraints`, `choices` and the letter as `answer`, or `answer`; None where the usual names say it by
  themselves.

  Raises:
    ValueError: malformed tests, an answer that is none of the options. Unusable: what nothing here can judge.
  """
  for family in (
    programs_of,
    constraint_layouts.read,
    choice_layouts.read,
    _verification,
    _conversation,
    _passage,
    _answer,
    _beside,
  ):
    if found := family(row):
      return found
  return None


def programs_of(row: dict) -> Found | None:
  """The tests of a row of a programming problem, with a `starter_code` where else a model would not see what to
  call."""
  for family in (
    _own,
    _contests,
    _codeforces,
    _unit_tests,
    _tests,
    _in_columns,
    _verification_tests,
    _ground_truth,
    _tests_beside,
  ):
    if found := family(row):
      tests = found.fields.get('tests')
      return found if not tests else found._replace(fields=found.fields | _starter(row, tests))
  return None


def _own(row: dict) -> Found | None:
  """Tests in the very form of verify.code, as stages write them."""
  held = row.get('tests')
  plain = (
    isinstance(held, dict)
    and not {'test_cases', 'fn_name', 'language'} & held.keys()
    and ({'cases', 'asserts'} & held.keys() or {'inputs', 'outputs'} <= held.keys())
  )
  return Found({}, ('tests',)) if plain or row.get('constraints') else None


def _in_columns(row: dict) -> Found | None:
  """rStar-Coder's inputs and outputs; a statement's samples."""
  for names in (('inputs', 'outputs'), ('test_inputs', 'test_outputs'), ('sample_inputs', 'sample_outputs')):
    given, expected = (decoded(row.get(name)) for name in names)
    if isinstance(given, list) and isinstance(expected, list):
      named = {name: row[name] for name in ('fn_name', 'func_name') if row.get(name)}
      return Found({'tests': code_layouts.read({'inputs': given, 'outputs': expected} | named, row)}, names)
  return None


def _tests(row: dict) -> Found | None:
  name = first(row, TESTS)
  value = decoded(row[name]) if name else None
  if (
    name == 'tests'
    and isinstance(row[name], list)
    and all(isinstance(case, dict) and case.keys() <= {'input', 'output', 'args', 'expected'} for case in value)
  ):
    return Found({}, ('tests',))  # our own form
  if name == 'input_output' and not value or isinstance(value, dict) and value.get('inputs') == []:
    raise Unusable(f'it has no tests ({name!r} is empty)')
  if not name:
    if row.get('input_output') in ('', '{}'):
      raise Unusable("it has no tests ('input_output' is empty)")
    return None
  found = code_layouts.read(row[name], row)
  layout = {'input_output': 'TACO and APPS'}.get(name, '')
  return Found({'tests': found}, (name,), layout) if found else None


def _contests(row: dict) -> Found | None:
  names = [name for name in ('public_tests', 'private_tests', 'hidden_tests', 'generated_tests') if name in row]
  if not {'public_tests', 'private_tests'} & set(names) or 'official_tests' in row:
    return None
  return Found({'tests': code_layouts.contests(row)}, tuple(names), 'CodeContests')


def _codeforces(row: dict) -> Found | None:
  if 'official_tests' not in row:
    return None
  sample = not filled(decoded(row['official_tests']))
  return Found(
    {'tests': code_layouts.codeforces(row)} | ({'tests_are': 'sample'} if sample else {}),
    ('examples' if sample else 'official_tests',),
    'codeforces',
  )


def _unit_tests(row: dict) -> Found | None:
  """KodCode's pytest, LeetCodeDataset's check(candidate)."""
  name = first(row, ('test', 'test_code'))
  if not name or not isinstance(row[name], str) or not unittest_layouts.is_code(row[name]):
    return None
  if text(row.get('entry_point')):
    setup = row.get('prompt') if 'problem_description' in row and isinstance(row.get('prompt'), str) else ''
    return Found({'tests': unittest_layouts.read(row[name], row['entry_point'], setup)}, (name,), 'LeetCodeDataset')
  solution = row.get('solution') if isinstance(row.get('solution'), str) else ''
  return Found({'tests': unittest_layouts.read(row[name], starter=solution)}, (name,), 'KodCode')


def _info(row: dict) -> tuple[str, Any]:
  name = first(row, ('verification_info', 'verification_data', 'verifier_info'))
  return name, decoded(row[name]) if name else None


def _verification_tests(row: dict) -> Found | None:
  name, held = _info(row)
  found = code_layouts.read(held, row) if isinstance(held, (dict, list)) else None
  return Found({'tests': found}, (name,), 'PRIME and SYNTHETIC') if found else None


def _verification(row: dict) -> Found | None:
  name, held = _info(row)
  if not name:
    return None
  inner = _inner(held)
  if not filled(inner) or isinstance(inner, (dict, list)) and not (isinstance(inner, list) and len(inner) == 1):
    said = ', '.join(held) if isinstance(held, dict) else type(held).__name__
    raise Unusable(f'nothing here can judge by its {name} ({said[:80]})')
  return Found({'answer': answers.text(inner)}, (name,), 'PRIME and SYNTHETIC')


def _inner(value: Any) -> Any:
  """The answer in objects like {'answer': {'value': '7'}}; of what is no object itself."""
  while isinstance(value, dict):
    name = first(value, _VALUE)
    value = decoded(value[name]) if name else None
  return value


def _turn_values(row: dict) -> tuple[str, list]:
  """The name of the conversation, and what its turns say beside their text: ORZ's ground_truth, AM's info."""
  name, messages = chat_layouts.conversation(row)
  held = [turn['ground_truth'] for turn in messages or () if filled(turn.get('ground_truth'))]
  for turn in messages or ():
    info = decoded(turn.get('info'))
    if isinstance(info, dict):
      held += [info[key] for key in ('test_case', 'ground_truth', 'reference_answer') if filled(info.get(key))]
  return name, held


def _conversation(row: dict) -> Found | None:
  name, held = _turn_values(row) if not any(filled(_at(row, path)) for path in ANSWERS) else ('', [])
  for value in held:
    inner = decoded(_inner(decoded(value)))
    if filled(inner) and not isinstance(inner, dict):
      return Found(
        _alternatives(inner) if isinstance(inner, list) else {'answer': answers.text(inner)}, (name,), 'ShareGPT'
      )
  return None


def _ground_truth(row: dict) -> Found | None:
  """Tests where others have an answer: Eurus-2, Skywork, GURU, AM's test_case."""
  for path in ANSWERS:
    value = _at(row, path)
    if isinstance(value, (dict, list)) or isinstance(value, str) and len(value) > 8:
      if found := code_layouts.read(value, row):
        return Found({'tests': found}, (path,), 'verl' if '.' in path else '')
  for value in _turn_values(row)[1]:
    if found := code_layouts.read(value, row):
      return Found({'tests': found}, ('info',))
  return None


def _tests_beside(row: dict) -> Found | None:
  """Tests in what is said about a row, where it has no answer itself."""
  if any(filled(_at(row, path)) for path in ANSWERS):
    return None
  for name in _BESIDE:
    held = decoded(row.get(name))
    inner = first(held, TESTS) if isinstance(held, dict) else ''
    if inner and (found := code_layouts.read(held[inner], row)):
      return Found({'tests': found}, (name,))
  return None


def _beside(row: dict) -> Found | None:
  """An answer in what is said about a row (Nemotron's `metadata`), or a `label` that is text (OpenRLHF, slime)."""
  for name in _BESIDE:
    held = decoded(row.get(name))
    inner = first(held, [path for path in ANSWERS if '.' not in path]) if isinstance(held, dict) else ''
    if inner and isinstance(held[inner], (str, int, float)) and not isinstance(held[inner], bool):
      return Found({'answer': answers.text(held[inner])}, (name,))
  label = text(row.get('label'))
  if not label or not row.keys() & {'prompt', 'input'} or row.keys() & _ANSWERED:
    return None
  return Found({'answer': answers.text(label)}, ('label',))


def _at(row: dict, path: str) -> Any:
  if '.' not in path:
    return row.get(path)
  value = row
  for name in path.split('.'):
    value = decoded(value) if isinstance(value, str) else value
    value = value.get(name) if isinstance(value, dict) else None
  return value


def _answer(row: dict) -> Found | None:
  """An answer that is not plain: text of a list (Skywork), of an object, or in a `reward_model` that is itself text."""
  path = _judged_by(row)
  value = _at(row, path) if path else None
  if (
    not path
    and (solved := decoded(row.get('solutions')))
    and isinstance(solved, list)
    and all(isinstance(one, str) and '\\boxed' in one for one in solved)
  ):  # AReaL
    return Found(_alternatives(solved), ('solutions',))
  layout = 'verl' if '.' in path else ''
  inner = decoded(value)
  if isinstance(inner, dict) and (isinstance(value, str) or '.' in path or 'value' in inner):
    return Found(_of_object(inner, path), (path,), layout)
  texts = isinstance(inner, list) and inner and all(isinstance(one, str) for one in inner)
  if '.' in path and isinstance(inner, list) and len(inner) > 1 and (not texts or _PUZZLE.search(_kind(row))):
    raise Unusable(f'nothing here can judge by its {path}, a list of {len(inner)} that is one answer')
  if texts and (path in _ALTERNATIVES or isinstance(value, str) and len(inner) == 1):
    return Found(_alternatives(inner), (path,), layout)
  if path.startswith('reward_model') and isinstance(row['reward_model'], str) and not isinstance(inner, list):
    return Found({'answer': answers.text(value)}, (path,), layout)
  if 'formula' in row and (number := _UNIT.fullmatch(text(value))):  # ASDiv
    return Found({'answer': number[1]}, (path,), 'ASDiv')
  if text(value).lower() in _NONE and {'question_type', 'problem_is_valid'} & row.keys():
    raise Unusable(f'it has no answer ({path}={text(value)!r})')
  fields = {'answer': value} if path != next((name for name in ANSWERS if _at(row, name) is not None), '') else {}
  return Found(fields, (path,), layout) if path else None


def _passage(row: dict) -> Found | None:
  """Answers to questions about a passage: PubMedQA's decision, DROP's spans, `answers` of which each is right."""
  if filled(row.get('final_decision')) and 'context' in row:
    options = ['yes', 'no', 'maybe']
    return Found(
      {'choices': options, 'answer': answers.letter(row['final_decision'], options)}, ('final_decision',), 'PubMedQA'
    )
  if any(filled(_at(row, path)) for path in ANSWERS):
    return None
  held = decoded(row.get('answers_spans'))
  spans = held.get('spans') if isinstance(held, dict) else None
  if filled(spans):
    if len({answers.spelling(one) for one in spans}) > 1:
      raise Unusable("its answer is in several parts ('answers_spans')")
    return Found({'answer': spans[0]}, ('answers_spans',), 'DROP')
  held = decoded(row.get('answers'))
  held = held['text'] if isinstance(held, dict) and isinstance(held.get('text'), list) else held  # SQuAD
  held = [held] if isinstance(held, (str, int, float)) and not isinstance(held, bool) and filled(held) else held
  if (
    isinstance(held, list)
    and held
    and (len(held) == 1 or first(row, ('context', 'passage')))
    and all(isinstance(one, (str, int, float)) for one in held)
  ):
    return Found(_alternatives(held), ('answers',))
  return None


def _kind(row: dict) -> str:
  return f'{row.get("data_source", "")} {row.get("ability", "")}'


def _judged_by(row: dict) -> str:
  """The path of the answer that is judged by: the first, unless `answer` is the text of a whole response beside a short
  one."""
  held = [path for path in ANSWERS if filled(_at(row, path))]
  if len(held) > 1 and held[0] == 'answer':
    said = text(row['answer'])
    if len(said) > _LONG and '####' not in said:  # MegaScience
      return min(held[1:], key=lambda path: len(str(_at(row, path))))
    for path in ('gold_answer', 'reference_answer'):  # beside these `answer` is a model's or a teacher's
      if path in held and len(text(row[path])) < len(said):
        return path
  return held[0] if held else ''


def _of_object(held: dict, path: str) -> dict:
  """An answer in an object: {'value': 'Paris', 'aliases': [...]} (TriviaQA), {'target': [...]} (Search-R1)."""
  inner, aliases = _inner(held), decoded(held.get('aliases'))
  if isinstance(aliases, list) and isinstance(inner, str):
    return _alternatives([inner, *(one for one in aliases if isinstance(one, str))])
  if isinstance(held.get('target'), list) and held['target'] and all(isinstance(one, str) for one in held['target']):
    return _alternatives(held['target'])
  if not filled(inner) or isinstance(inner, (dict, list)):
    raise Unusable(f'nothing here can judge by its {path}, an object with {", ".join(held)[:80]}')
  return {'answer': answers.text(inner)}


def _alternatives(values: list) -> dict:
  """A list of several is of answers of which each is right (as its sets' own rewards take it)."""
  different = {}
  for value in map(answers.text, values):
    different.setdefault(answers.spelling(value), value)
  found = list(different.values())
  return {'answer': found[0]} | ({'accepted_answers': found[1:]} if found[1:] else {})


def one_name(domain: Any) -> str | None:
  """A domain as one text: of a list (Big-Math) all of them, once each; None where there is none.

  Raises:
    ValueError: it is an object.
  """
  held = decoded(domain)
  held = held if isinstance(held, list) else [held]
  if any(isinstance(one, (dict, list)) for one in held):
    raise ValueError(f'the domain must be text or a list of texts, it is {type(domain).__name__} {repr(domain)[:40]}')
  return ', '.join(dict.fromkeys(str(one) for one in held if one is not None)) or None


def _starter(row: dict, tests: dict) -> dict:
  """A header of the function that tests call, where neither the question nor any code beside it names it."""
  name = re.sub(r'^Solution(?:\(\))?\.', '', tests.get('function', ''))
  if not name and isinstance(tests.get('asserts'), str):
    called = _CALLED.search(tests['asserts'])
    name = called[1] if called and called[1] not in ('candidate', *dir(builtins)) else ''
  asked = row.get('problem') or row.get(first(row, chat_layouts.PLAIN + ('query', 'description', 'input'))) or ''
  if not name or text(row.get('starter_code')) or re.search(rf'\b{re.escape(name)}\b', str(asked)):
    return {}
  held = decoded(row.get('test_info'))
  for info in held if isinstance(held, list) else ():
    if isinstance(info, dict) and text(info.get('function_declaration')) and info.get('function_name') == name:
      return {'starter_code': info['function_declaration'].rstrip() + '\n    '}
  count = len(tests['cases'][0]['args']) if tests.get('cases') else unittest_layouts.arguments(tests['asserts'], name)
  return {'starter_code': f'def {name}({", ".join("abcdefghij"[:count]) if 0 < count <= 10 else "*args"}):\n    '}
