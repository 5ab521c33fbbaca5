r"""Multiple choice as published: where the options stand, and which is right.

read({'question': 'Fruit?', 'options': ['apple', 'chair'], 'answer': 'apple', 'answer_idx': 'A'}).fields
    == {'choices': ['apple', 'chair'], 'answer': 'A'}
"""

import hashlib
import random
import re
import string
from typing import Any

from vibethinker_jax.data.layouts import answers
from vibethinker_jax.data.layouts.layout_fields import Found, Unusable, decoded, filled, first, text

LISTS = ('choices', 'options', 'endings', 'candidates', 'answer_options', 'option_list')
# Options in columns of their own, from which the right one is told by the number or letter in its name or by its text.
_COLUMNS = tuple(
  tuple(f'{name}{mark}' for mark in marks)
  for name, marks in (
    ('op', 'abcde'),
    ('', 'ABCDEFGHIJ'),
    ('option_', 'abcde'),
    ('option', 'ABCDE'),
    ('option_', 'ABCDE'),
    ('option', '12345'),
    ('option_', '12345'),
    ('answer', 'ABCD'),
    ('answer', '0123'),
    ('sol', '12'),
    ('ending', '0123'),
    ('choice_', 'ABCDE'),
    ('choice_', 'abcde'),
    ('choice', '12345'),
  )
)
_ANSWERS = (
  'answerKey',
  'answer_key',
  'answer_letter',
  'answer_idx',
  'answer_index',
  'correct_option',
  'correct_index',
  'cop',
  'answer',
  'Answer',
  'correct',
  'correct_answer',
  'correct_letter',
  'correct_choice',
  'correct_answer_index',
  'correct_answer_idx',
  'gold_index',
)
_ELSE = ('label', 'gold', 'target', 'final_answer', 'expected_answer', 'reference_answer', 'ground_truth')
_FROM_ONE = ('option1', 'option_1', 'answerA')  # their labels 1, 2, ... count from 1
LAYOUT = 'multiple choice'
_WRONG_OPTION = re.compile(r'(?:distractor|incorrect_answer|wrong_answer)_?\d+')
_LETTERED = re.compile(r'\(?([A-Za-z])\s*[).:、]\s*(.*)', re.DOTALL)
_MARK = re.compile(r'(?:^|(?<=[\s,;\'"]))\(?([A-Za-z])\s?[).:](?=\s|\w)')  # of an option in a text of all of them
_NAMED = re.compile(r'(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?:?\s+\(?([A-Ja-j]|\d)\)?\.?', re.IGNORECASE)
_RIGHT = ('is_correct', 'isCorrect', 'correct')  # of an option that is an object


def read(row: dict, answered: bool = True) -> Found | None:
  """The options as `choices`, and the letter of the right one as `answer` if the row says it; None without options.

  Args:
    answered: False leaves the answer to who asks.

  Raises:
    ValueError: the answer is none of the options, or two fields say different ones. Unusable: it is kept back (-1).
  """
  found = _distractors(row) or _one_hot(row)
  if found:
    return found
  found = _listed(row) or _columns(row) or _beside(row)
  if not found or answered:
    return found and _answered(row, found)
  return found._replace(fields={'choices': found.fields['choices']})


def shuffled(question: str, right: str, wrong: list[str]) -> tuple[list[str], str]:
  """(the options in an order that is a function of the question alone, the letter of the right one)."""
  options = [right] + wrong
  random.Random(hashlib.sha256(question.encode()).hexdigest()).shuffle(options)
  return options, string.ascii_uppercase[options.index(right)]


def _distractors(row: dict) -> Found | None:
  """SciQ's right answer with its distractors in columns; the same with a list of them."""
  names = sorted(filter(_WRONG_OPTION.fullmatch, row))
  listed = first(row, ('distractors', 'incorrect_answers', 'wrong_answers'))
  right = first(row, ('correct_answer', 'right_answer', 'answer', 'best_answer'))
  wrong = [row[name] for name in names] if names else decoded(row[listed]) if listed else None
  if not wrong or not right or first(row, LISTS):
    return None
  wrong = [option for option in wrong if filled(option)] if isinstance(wrong, list) else []
  if not wrong or not all(text(option) for option in [row[right], *wrong]):
    raise ValueError(f'{right!r} and {", ".join(names) or listed!r} must be texts')
  options, letter = shuffled(str(row.get('question', '')), text(row[right]), [text(option) for option in wrong])
  return Found({'choices': options, 'answer': letter}, (right, *(names or [listed])), 'right answer and distractors')


def _one_hot(row: dict) -> Found | None:
  """TruthfulQA's, BIG-bench's and other options of which each says whether it is right, 1 or 0."""
  name = first(row, ('mc1_targets', 'target_scores')) or first(row, LISTS)
  held = decoded(row[name]) if name else None
  if name == 'mc1_targets' and isinstance(held, dict):
    options, marks = held.get('choices'), held.get('labels')
  elif name == 'target_scores' and isinstance(held, dict):
    options, marks = list(held), list(held.values())
  elif isinstance(held, list) and held and all(isinstance(one, dict) and first(one, _RIGHT) for one in held):
    options, marks = (
      [text(one.get('text') or one.get('content')) for one in held],
      [one[first(one, _RIGHT)] for one in held],
    )
  else:
    options, marks = held, decoded(row.get('labels'))
  if (
    not isinstance(options, list)
    or not isinstance(marks, list)
    or len(options) != len(marks)
    or len(options) < 2
    or (
      first(row, _ANSWERS)
      or not all(text(one) for one in options)
      or sorted(map(float, marks)) != [0.0] * (len(marks) - 1) + [1.0]
    )
  ):
    return None
  options, right = [text(one) for one in options], next(i for i, mark in enumerate(marks) if mark)
  if name != 'mc1_targets':
    return Found({'choices': options, 'answer': string.ascii_uppercase[right]}, (name,), LAYOUT)
  asked, wrong = str(row.get('question', '')), [one for i, one in enumerate(options) if i != right]
  options, letter = shuffled(asked, options[right], wrong)  # the right one is always the first there
  return Found({'choices': options, 'answer': letter}, (name,), LAYOUT)


def _beside(row: dict) -> Found | None:
  """Options in verl's `extra_info`, if the answer is one of them."""
  held = decoded(row.get('extra_info'))
  name = first(held, ('choices', 'options')) if isinstance(held, dict) else ''
  found = _listed({name: held[name]}) if name else None
  try:
    return found and _answered(row, found)._replace(used=('extra_info',)) and found._replace(used=('extra_info',))
  except ValueError:
    return None


def _parted(value: str) -> list[str] | None:
  """The options in one text: 'a ) 3 , b ) 4' (MathQA), 'A. three\\nB. four'; None where there are not two, in order."""
  marks, letters = [], string.ascii_uppercase
  for match in _MARK.finditer(value):
    if match[1].upper() == letters[len(marks)]:
      marks.append(match)
  if len(marks) < 2 or value[: marks[0].start()].strip(' [\'"'):
    return None
  ends = [match.start() for match in marks[1:]] + [len(value)]
  return [value[mark.end() : end].strip(' \n\t,;]\'"') for mark, end in zip(marks, ends)]


def _lines(value: str, row: dict) -> list[str] | None:
  """Options without marks, a line each, or with a bar or a semicolon between.

  Raises:
    ValueError: they cannot be told apart, and the answer is the letter of one.
  """
  for separator in ('\n', '|', ';'):
    found = [part.strip() for part in value.split(separator) if part.strip()]
    if len(found) > 1:
      return found
  if any(re.fullmatch(r'\(?[A-J]\)?', text(row.get(name))) for name in _ANSWERS):
    raise ValueError(f'the options cannot be told apart: {value[:60]!r}')
  return None


def _listed(row: dict) -> Found | None:
  held = decoded(row.get('question'))
  row = row | held if isinstance(held, dict) and 'choices' in held else row
  name = first(row, LISTS)
  if not name and isinstance(row.get('answers'), list) and 'label' in row:  # ReClor
    name = 'answers'
  value = decoded(row[name]) if name else None
  value = _parted(value) or _lines(value, row) if isinstance(value, str) else value
  if isinstance(value, dict) and isinstance(value.get('text'), list):  # ARC, CommonsenseQA
    labels, options = [str(label) for label in value.get('label') or ()], value['text']
  elif isinstance(value, dict):
    if not all(len(key) == 1 and key.isalnum() for key in value):
      return None
    labels = sorted(key for key in value if filled(value[key]))
    options = [value[key] for key in labels]
  elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
    words = [first(one, ('text', 'content', 'option', 'value', 'answer')) for one in value]
    marks = [first(one, ('label', 'key', 'id', 'letter')) for one in value]
    options = [one[word] if word else '' for one, word in zip(value, words)]
    labels = [str(one[mark]) for one, mark in zip(value, marks) if mark]
  else:
    labels, options = [], value
  if not isinstance(options, list) or len(options) < 2:
    return None
  if not all(isinstance(option, (str, int, float)) for option in options):
    raise ValueError(f'{name!r} must be texts, one for each option')
  options = [str(option).strip() for option in options]
  matches = [_LETTERED.fullmatch(option) for option in options]
  if all(match and match[1].upper() == letter for match, letter in zip(matches, string.ascii_uppercase)):
    options = [match[2].strip() for match in matches]  # AQuA's 'A)21'
  return Found({'choices': options, 'labels': labels if len(labels) == len(options) else []}, (name,), LAYOUT)


def _columns(row: dict) -> Found | None:
  for names in _COLUMNS:
    held = [name for name in names if filled(row.get(name))] if names[0] in row else []
    if held[:2] == list(names[:2]) and all(isinstance(row[name], (str, int, float)) for name in held):
      labels = [str(i + 1) for i in range(len(held))] if names[0] in _FROM_ONE else []
      return Found({'choices': [str(row[name]).strip() for name in held], 'labels': labels}, tuple(held), LAYOUT)
  return None


def _answered(row: dict, options: Found) -> Found:
  """The options with the letter on which every field that names one agrees."""
  held, reward, found = decoded(row.get('question')), decoded(row.get('reward_model')), {}
  row = row | held if isinstance(held, dict) else row
  given = {name: row[name] for name in _ANSWERS if filled(row.get(name))}
  if isinstance(reward, dict) and filled(reward.get('ground_truth')):
    given['reward_model.ground_truth'] = reward['ground_truth']
  given = given or {name: row[name] for name in _ELSE if filled(row.get(name))}
  for name, value in given.items():
    if value == -1 and name in ('cop', 'label'):  # of the parts that MedMCQA and HellaSwag keep back
      raise Unusable(f'its answer is kept back ({name}=-1)')
    try:
      found[name] = _letter(value, options.fields['choices'], options.fields['labels'])
    except ValueError as error:
      told = ', '.join(options.fields['choices'])[:120]
      raise ValueError(f'answer ({name!r}): {error}; the options are {told}') from error
  if len(set(found.values())) > 1:
    raise ValueError(
      'its answers disagree: '
      + ', '.join(f'{name}={given[name]!r} is option {letter}' for name, letter in found.items())
    )
  fields = {'choices': options.fields['choices']} | ({'answer': next(iter(found.values()))} if found else {})
  return options._replace(fields=fields, used=options.used + tuple(found))


def _letter(value: Any, options: list[str], labels: list[str]) -> str:
  given = decoded(value)
  given = given[0] if isinstance(given, list) and len(given) == 1 else value
  mark = str(given).strip()
  if labels and not isinstance(given, bool) and mark in labels and mark not in options:
    return string.ascii_uppercase[labels.index(mark)]
  if mark not in options and (named := _NAMED.fullmatch(mark)):  # 'Option 2' counts from 1
    return answers.letter(int(named[1]) - 1 if named[1].isdigit() else named[1], options)
  if isinstance(given, str) and given not in options:
    if mark.isdigit() and mark not in options:
      return answers.letter(int(mark), options)
    if (match := _LETTERED.fullmatch(mark)) and match[2]:
      letter = answers.letter(match[1], options)
      if options[string.ascii_uppercase.index(letter)] == match[2].strip():
        return letter
  return answers.letter(given, options)
