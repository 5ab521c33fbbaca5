"""Instructions that a text can be checked for, as IFEval and the sets of its kind publish them, in our own constraints.

read({'instruction_id_list': ['punctuation:no_comma'], 'kwargs': [{}]}).fields['constraints']
    == [{'kind': 'without', 'characters': ','}]
"""

from collections.abc import Callable
from typing import Any

from vibethinker_jax.data.layouts.layout_fields import Found, Unusable, decoded, filled

_SCRIPTS = {
  'ru': 'cyrillic',
  'bg': 'cyrillic',
  'uk': 'cyrillic',
  'ar': 'arabic',
  'fa': 'arabic',
  'ur': 'arabic',
  'hi': 'devanagari',
  'mr': 'devanagari',
  'ne': 'devanagari',
  'ko': 'hangul',
  'th': 'thai',
  'bn': 'bengali',
  'ta': 'tamil',
  'te': 'telugu',
  'kn': 'kannada',
  'gu': 'gujarati',
  'pa': 'gurmukhi',
  'el': 'greek',
  'ja': 'cjk hiragana katakana',
  'zh': 'cjk',
  'he': 'hebrew',
}  # of the others only a model could tell the language
_CHOICES = ['My answer is yes.', 'My answer is no.', 'My answer is maybe.']
_RELATIONS = {'at least': 'at_least', 'less than': 'at_most', 'at most': 'at_most', 'more than': 'at_least'}
_STRICT = {'less than': -1, 'more than': 1}


def _bound(number: Any, relation: str | None) -> dict:
  """{'at_least': 3} and the like; without a relation exactly that number, 'around' within a tenth of it."""
  if relation == 'around':
    return {'at_least': int(number * 0.9), 'at_most': int(number * 1.1) + 1}
  if not relation:
    return {'exactly': int(number)}
  return {_RELATIONS[relation]: int(number) + _STRICT.get(relation, 0)}


def _parted(told: dict, name: str, separator: str) -> list[dict]:
  """So many texts between separators; of a single one nothing is said."""
  return [{'kind': 'responses', 'separator': separator, 'count': int(told[name])}] if told[name] > 1 else []


def _texts(value: Any) -> list[str]:
  value = decoded(value)
  if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
    raise TypeError('a list of texts is needed')
  return value


def _script(told: dict) -> list[dict]:
  language = str(told['language'])[:2]
  if language not in _SCRIPTS:
    raise Unusable(f'it asks for a language ({told["language"]!r}) that its letters do not tell')
  return [{'kind': 'script', 'name': _SCRIPTS[language]}]


def _paragraph(told: dict, count: str, number: str, word: str) -> list[dict]:
  return [
    {'kind': 'paragraphs', 'exactly': int(told[count])},
    {'kind': 'paragraph_starts', 'number': int(told[number]), 'word': told[word]},
  ]


def _counted(kind: str, number: str, relation: str = '', **said) -> Callable[[dict], list[dict]]:
  """A kind that counts. number, relation: the names of the arguments with these; 'at_least' and 'exactly' stand for
  themselves. said: by name the arguments that are passed on."""

  def found(told):
    words = relation if relation in ('at_least', 'exactly') else ''
    bound = {words: int(told[number])} if words else _bound(told[number], told.get(relation))
    return [{'kind': kind} | bound | {name: told[of] for name, of in said.items()}]

  return found


def _of(kind: str, **said) -> Callable[[dict], list[dict]]:
  return lambda told: [{'kind': kind} | {name: told[of] for name, of in said.items()}]


# IFEval's instructions; beside each the name that the Tulu 3 set has for it, with arguments of other names.
IFEVAL = {
  'keywords:existence': _of('keywords', words='keywords'),
  'keywords:frequency': _counted('keyword_count', 'frequency', 'relation', word='keyword'),
  'keywords:forbidden_words': _of('forbidden', words='forbidden_words'),
  'keywords:letter_frequency': _counted('letter_count', 'let_frequency', 'let_relation', letter='letter'),
  'language:response_language': _script,
  'length_constraints:number_sentences': _counted('sentences', 'num_sentences', 'relation'),
  'length_constraints:number_paragraphs': lambda told: _parted(told, 'num_paragraphs', '***'),
  'length_constraints:number_words': _counted('words', 'num_words', 'relation'),
  'length_constraints:nth_paragraph_first_word': lambda told: _paragraph(
    told, 'num_paragraphs', 'nth_paragraph', 'first_word'
  ),
  'detectable_content:number_placeholders': _counted('placeholders', 'num_placeholders', 'at_least'),
  'detectable_content:postscript': _of('postscript', marker='postscript_marker'),
  'detectable_format:number_bullet_lists': _counted('bullets', 'num_bullets', 'exactly'),
  'detectable_format:constrained_response': lambda told: [{'kind': 'one_of', 'options': _CHOICES}],
  'detectable_format:number_highlighted_sections': _counted('highlights', 'num_highlights', 'at_least'),
  'detectable_format:multiple_sections': _counted('sections', 'num_sections', 'at_least', name='section_spliter'),
  'detectable_format:json_format': _of('json_format'),
  'detectable_format:title': _of('title'),
  'combination:two_responses': _of('responses'),
  'combination:repeat_prompt': _of('repeats', phrase='prompt_to_repeat'),
  'startend:end_checker': _of('ends_with', phrase='end_phrase'),
  'startend:quotation': _of('quoted'),
  'change_case:capital_word_frequency': _counted('capital_words', 'capital_frequency', 'capital_relation'),
  'change_case:english_capital': _of('uppercase'),
  'change_case:english_lowercase': _of('lowercase'),
  'punctuation:no_comma': lambda told: [{'kind': 'without', 'characters': ','}],
}
TULU = {
  'verify_keywords': _of('keywords', words='keyword_list'),
  'verify_keyword_frequency': _counted('keyword_count', 'N', word='word'),
  'validate_forbidden_words': _of('forbidden', words='forbidden_words'),
  'verify_letter_frequency': _counted('letter_count', 'N', letter='letter'),
  'validate_response_language': _script,
  'verify_sentence_constraint': _counted('sentences', 'N', 'quantifier'),
  'verify_paragraph_count': lambda told: _parted(told, 'N', '* * *'),
  'validate_word_constraint': _counted('words', 'N', 'quantifier'),
  'validate_paragraphs': lambda told: _paragraph(told, 'N', 'i', 'first_word'),
  'validate_placeholders': _counted('placeholders', 'N', 'at_least'),
  'verify_postscript': _of('postscript', marker='postscript_marker'),
  'verify_bullet_points': _counted('bullets', 'N', 'exactly'),
  'validate_choice': lambda told: [{'kind': 'one_of', 'options': _texts(told['options'])}],
  'validate_highlighted_sections': _counted('highlights', 'N', 'at_least'),
  'validate_sections': _counted('sections', 'N', 'at_least', name='section_splitter'),
  'validate_json_format': _of('json_format'),
  'validate_title': _of('title'),
  'validate_two_responses': _of('responses'),
  'validate_repeat_prompt': _of('repeats', phrase='original_prompt'),
  'validate_end': _of('ends_with', phrase='end_phrase'),
  'validate_quotation': _of('quoted'),
  'validate_frequency_capital_words': _counted('capital_words', 'N', 'quantifier'),
  'validate_uppercase': _of('uppercase'),
  'validate_lowercase': _of('lowercase'),
  'validate_no_commas': lambda told: [{'kind': 'without', 'characters': ','}],
}


def read(row: dict) -> Found | None:
  """`constraints` of rows with IFEval's ids beside the prompt, or with these or the Tulu 3 set's functions as the
  ground_truth; None for all others.

  Raises:
    Unusable: an instruction that nothing here checks, or one that its arguments do not tell.
  """
  if filled(row.get('instruction_id_list')):
    return _found(row['instruction_id_list'], row.get('kwargs'), 'instruction_id_list')
  held = decoded(row.get('ground_truth'))
  held = decoded(held[0]) if isinstance(held, list) and len(held) == 1 else held
  held = held[0] if isinstance(held, list) and len(held) == 1 else held
  if isinstance(held, dict) and held.get('func_name'):
    return _found([held['func_name']], [held], 'ground_truth')
  if isinstance(held, dict) and filled(held.get('instruction_id')):
    return _found(held['instruction_id'], held.get('kwargs'), 'ground_truth')
  return None


def _found(names: Any, told: Any, used: str) -> Found:
  names, told = decoded(names), decoded(told) or []
  names = [names] if isinstance(names, str) else names
  constraints = []
  for i, name in enumerate(names):
    arguments = decoded(told[i]) if i < len(told) else None
    known = IFEVAL.get(name) or TULU.get(name)
    if not known:
      raise Unusable(f'nothing here checks the instruction {name} ({used!r})')
    try:
      constraints += known({key: value for key, value in (arguments or {}).items() if value is not None})
    except (KeyError, TypeError, AttributeError) as error:
      raise Unusable(f'the arguments of an instruction ({name}) do not say what it asks for') from error
  if not constraints:
    raise Unusable(f'nothing of what it asks for can be checked ({used!r})')
  return Found({'constraints': constraints, 'answer': None}, (used,), 'IFEval')
