r"""Judges an answer to a multiple-choice problem (GPQA, MMLU): the option's letter, or its text.

  verify('<think>x</think>\\boxed{\\text{(B)}}', 'B', ['3 m', '5 m']) == Verdict('correct', 'equal')
  verify('<think>x</think>\\boxed{5\\text{ m}}', 'B', ['3 m', '5 m']) == Verdict('correct', 'equal')
"""
from __future__ import annotations

import re
import string

from vibethinker_jax.verify.maths import extract, units
from vibethinker_jax.verify.maths.answers import DIFFERENT, EQUAL, NO_ANSWER
from vibethinker_jax.verify.verdict import Verdict

_WRAPPED = re.compile(r'\\(?:text|textbf|mathrm|mathbf|mathsf|mbox|boldsymbol)\s*\{([^{}]*)\}')
_LETTER = re.compile(r'(?:(?:option|choice|answer)\s*:?\s*)?[(\[]?([A-Za-z])(?:[)\].:]+|\b)\s*(.*)',
    re.DOTALL | re.IGNORECASE)


def letter_of(answer: str, choices: list[str]) -> str | None:
  """The letter of the option that an answer names.

  Args:
    answer: content of the box: 'B', '(B)', 'b.', 'B) 5 m', 'Option B' or an option's text, in LaTeX or plain.
    choices: the options' texts, A first.
  Returns:
    None if it names none, or two: a letter whose text is another option's, or more than an option after the letter.
  """
  letters = string.ascii_uppercase[:len(choices)]
  options = [str(choice).replace('$', '') for choice in choices]
  texts = [extract.normalise(option) for option in options]
  plain = _WRAPPED.sub(r'\1', answer.strip().strip('$')).strip()
  own, bare = extract.normalise(answer.replace('$', '')), extract.normalise(plain)
  same = [letter for letter, text in zip(letters, texts) if text in (own, bare)]
  if len(same) > 1:  # 3 m and 3 cm
    size = units.measure(answer)
    same = [letter for letter in same if units.measure(options[letters.index(letter)]) == size]
  match = _LETTER.fullmatch(plain)
  if match and match[1].upper() in letters:
    letter, rest = match[1].upper(), extract.normalise(match[2]) if match[2].strip(' .') else ''
    if not rest and same in ([], [letter]):  # 'C' may itself be an option's text: then it names two
      return letter
    if rest and rest == texts[letters.index(letter)]:
      return letter
  return same[0] if len(same) == 1 and not (match and not match[2] and match[1].upper() in letters) else None


def verify(response: str, gold: str, choices: list[str]) -> Verdict:
  """Judges a response to a multiple-choice problem.

  Args:
    response: the model's whole text, its answer in the last box (see extract.answer_text).
    gold: the right option's letter.
    choices: the options' texts, A first.
  Raises:
    ValueError: the gold is no letter of an option.
  """
  letters = string.ascii_uppercase[:len(choices)]
  gold = gold.strip().strip('().').upper()
  if len(gold) != 1 or gold not in letters:
    raise ValueError(f'the answer of a row with {len(choices)} choices is a letter from {letters!r}, not {gold!r}')
  answer = extract.answer_text(response)
  if answer is None:
    return NO_ANSWER
  return EQUAL if letter_of(answer, choices) == gold else DIFFERENT
