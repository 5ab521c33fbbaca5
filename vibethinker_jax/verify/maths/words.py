r"""Answers in words: no solution, times of day, ordinals, the option of a multiple choice with its text.

same('nosolution', '\\emptyset') is True
option('\\textbf{(C)}\\ 12', 'C') == ''
"""

from __future__ import annotations

import re

from vibethinker_jax.verify.maths import normal, plain

_EMPTY = frozenset(
  """\\emptyset \\varnothing \\{\\} {} nosolution nosolutions norealsolution norealsolutions nosuchsolution
  none noroots norealroots nosuchvalue nosuchvalues nosuchnumber nosuchnumbers novalues novalue doesnotexist donotexist
  dne emptyset theemptyset therearenosolutions thereisnosolution thereisnorealsolution therearenorealsolutions thereisno
  noneexist noneexists nointegersolutions nointegersolution nosolutionexists nosolutionsexist""".split()
)
_NOTHING = re.compile(
  r'(?:there(?:is|are)|the(?:equation|system|inequality|problem)has)?'
  r'no(?:such|real|integer|positive|valid|possible)*(?:solutions?|roots?|values?|numbers?|integers?)(?:exists?)?(?:forx)?|无解|\\text\{无解\}|nosuchx'
)
_CLOCK = re.compile(
  r'(?:(?P<hour>\d{1,2}):(?P<minute>\d\d)|(?P<whole>\d{1,2}))?@?'
  r'(?P<half>[ap]\.?m\.?|noon|midnight)?',
  re.IGNORECASE,
)
_ORDINAL = re.compile(
  r'\s*(?:\\text\s*\{)?\s*(\d+)\s*(?:\^\s*\{?)?\s*(?:\\(?:text|mathrm)\s*\{\s*)?(?:st|nd|rd|th)\b\s*\}*'
  r'(?:\\[ ,;]|~|\s)*(?:\\(?:text|mathrm)\s*\{)?\s*([a-z]*)\s*\}*\.?\s*',
  re.IGNORECASE,
)
_REALS = frozenset(
  '\\mathbb{R} \\mathbbR (-\\infty,\\infty) (-\\infty,+\\infty) allrealnumbers allreals realnumbers '
  'x\\in\\mathbb{R} x\\in\\mathbbR allrealnumber anyrealnumber'.split()
)
_OPTION = re.compile(
  r'(?:\\(?:text|math)(?:bf|rm|sf|normal)?\s*\{|\\(?:mathbf|boldsymbol)\s*\{|\*\*)?\s*'
  r'(?:(?:option|choice)\s*)?'
  r'(?:\(\s*([A-J])\s*\)|([A-J])(?:\)|\.\s|:\s|(?<=[Oo]ption [A-J])|(?<=[Cc]hoice [A-J])))'
  r'\s*[}.:]*(?:\*\*)?'
  r'(?:\\[ ,;:]|\\q?quad|~|\s|\})*',
  re.IGNORECASE,
)


def _clock(text: str) -> tuple[int, int, str] | None:
  """(hour, minute, 'am', 'pm' or '') of a normalised time of day; noon is 12:00 pm."""
  match = _CLOCK.fullmatch(text)
  if not match or not match['half'] and not match['hour'] or not text:
    return None
  half = (match['half'] or '').lower().replace('.', '')
  hour, minute = int(match['hour'] or match['whole'] or 12), int(match['minute'] or 0)
  if half in ('noon', 'midnight') and (hour, minute) != (12, 0):
    return None
  return hour, minute, {'noon': 'pm', 'midnight': 'am'}.get(half, half)


def same(answer: str, gold: str) -> bool | None:
  """Whether two normalised answers say the same in words; None if the gold is nothing of that kind."""
  if gold in _EMPTY and _NOTHING.fullmatch(answer):
    return True
  for class_ in (_EMPTY, _REALS):
    if gold in class_ and answer in class_:
      return True
  if ':' in gold or gold.endswith(('noon', 'midnight')):
    times = _clock(answer), _clock(gold)
    if None not in times and (times[0][2] or times[1][2] or ':0' in answer + gold):  # 1:05 is no ratio
      (hour, minute, half), (its, others, which) = times
      # 12:00 alone is noon; an answer may say which half where the gold leaves it open
      return (hour, minute) == (its, others) and (half == which or not which or not half and gold.endswith('noon'))
  return None


def ordinal(answer: str, gold: str) -> bool | None:
  """Whether an answer is the ordinal that the gold is, 12^{th} grade, or the reverse with a noun; None if neither is
  one.

  The bare 17th is no 17."""
  if not re.search(r'\d.*(?:st|nd|rd|th)', answer + gold):
    return None
  mine, its = (_ORDINAL.fullmatch(plain.fonts(text).strip('$ ')) for text in (answer, gold))
  if mine and its:
    return mine[1] == its[1] and (mine[2].lower() == its[2].lower() or not mine[2] or not its[2])
  if its and answer.strip('$ ').isdigit():
    return its[1] == answer.strip('$ ')
  if mine and gold.strip('$ ').isdigit():
    return bool(mine[2]) and mine[1] == gold.strip('$ ')
  return None


def option(answer: str, gold: str) -> str | tuple[str, str] | None:
  r"""What decides where gold or answer is an option with its text, '\textbf{(C)}\ 12'.

  '' if they name the same letter, a pair (answer, gold) of what else to compare, None if neither is one.
  """
  if not re.search(r'[A-J][).:]|hoice|ption', answer + gold):
    return None
  answer, gold = plain.fonts(answer).strip('$ '), plain.fonts(gold).strip('$ ')
  answer = normal.unphrased(answer)
  mine, its = ((m[1] or m[2], m.end()) if (m := _OPTION.match(text)) else None for text in (answer, gold))
  letter = re.fullmatch(r'(?:\\text\s*\{)?\s*([A-J])\s*\}?', answer)
  if its and its[1] < len(gold):
    if letter or mine:
      return '' if (mine[0] if mine else letter[1]) == its[0] and _alone(answer, mine) else ('0', '1')
    return answer, _rest(gold, its)
  named = re.fullmatch(r'(?:\\text\s*\{)?\(?([A-J])\)?\}?', gold)
  if named and mine:
    return '' if mine[0] == named[1] and _alone(answer, mine) else ('0', '1')
  if mine and mine[1] < len(answer) and re.fullmatch(r'[-+\d.,/\\{}a-z]+', gold):
    return (_rest(answer, mine), gold) if _alone(answer, mine) else ('0', '1')
  return None


def _rest(text: str, option) -> str:
  rest = text[option[1] :]
  return rest.rstrip('}') if rest.count('}') > rest.count('{') else rest


def _alone(answer: str, option) -> bool:
  """Whether the text of an option names no other one."""
  rest = answer[option[1] :] if option else ''
  return not re.search(r'\b(?:or|and|not)\b|\(\s*[A-J]\s*\)|\b[B-J]\b|^\W*(?:\\text\s*\{\s*)?A\W*$', rest)
