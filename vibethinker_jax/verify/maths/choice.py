r"""Judges an answer to a multiple-choice problem (GPQA, MMLU): the option's letter, or its text.

judge('\\text{(B)}', 'B', ['3 m', '5 m']) == Verdict('correct', 'equal')
judge('5\\text{ m}', 'B', ['3 m', '5 m']) == Verdict('correct', 'equal')
"""

from __future__ import annotations

import re
import string

from vibethinker_jax.verify.maths import units
from vibethinker_jax.verify.maths.normal import normalise
from vibethinker_jax.verify.verdict import DIFFERENT, EQUAL, NO_ANSWER, Verdict

_WRAPPED = re.compile(r'\\(?:text|textbf|mathrm|mathbf|mathsf|mbox|boldsymbol)\s*\{([^{}]*)\}')
_LETTER = re.compile(
  r'(?:(?:option|choice|answer)\s*:?\s*)?[(\[]?([A-Za-z])(?:[)\].:]+|\b)\s*(.*)', re.DOTALL | re.IGNORECASE
)


def letter_of(answer: str, choices: list[str]) -> str | None:
  """The letter of the option that an answer names.

  Args:
    answer: content of the box: 'B', '(B)', 'b.', 'B) 5 m', 'Option B' or an option's text, in LaTeX or plain.
    choices: the options' texts, A first.
  Returns:
    None if it names none, or two: a letter whose text is another option's, or more than an option after the letter.
  """
  letters = string.ascii_uppercase[: len(choices)]
  options = [str(choice).replace('$', '') for choice in choices]
  texts = [normalise(option) for option in options]
  plain = _WRAPPED.sub(r'\1', answer.strip().strip('$')).strip()
  own, bare = normalise(answer.replace('$', '')), normalise(plain)
  same = [letter for letter, text in zip(letters, texts) if text in (own, bare)]
  if len(same) > 1:  # 3 m and 3 cm
    size = units.measure(answer)
    same = [letter for letter in same if units.measure(options[letters.index(letter)]) == size]
  match = _LETTER.fullmatch(plain)
  if match and match[1].upper() in letters:
    letter, rest = match[1].upper(), normalise(match[2]) if match[2].strip(' .') else ''
    if not rest and same in ([], [letter]):  # 'C' may itself be an option's text: then it names two
      return letter
    if rest and rest == texts[letters.index(letter)]:
      return letter
  return same[0] if len(same) == 1 and not (match and not match[2] and match[1].upper() in letters) else None


def judge(answer: str | None, gold: str, choices: list[str]) -> Verdict:
  """Judges an answer to a multiple-choice problem.

  Args:
    answer: see extract.answer_of; None is no answer.
    gold: the right option's letter.
    choices: the options' texts, A first.
  Raises:
    ValueError: the gold is no letter of an option.
  """
  letters = string.ascii_uppercase[: len(choices)]
  gold = gold.strip().strip('().').upper()
  if len(gold) != 1 or gold not in letters:
    raise ValueError(f'the answer of a row with {len(choices)} choices is a letter from {letters!r}, not {gold!r}')
  if answer is None:
    return NO_ANSWER
  return EQUAL if letter_of(answer, choices) == gold else DIFFERENT
