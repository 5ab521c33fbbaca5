r"""Answers in words: no solution, times of day, ordinals, the option of a multiple choice with its text.

  same('nosolution', '\\emptyset') is True
  option('\\textbf{(C)}\\ 12', 'C') == ''
"""
from __future__ import annotations

import re

from vibethinker_jax.verify import plain

_EMPTY = frozenset('''\\emptyset \\varnothing \\{\\} {} nosolution nosolutions norealsolution norealsolutions nosuchsolution none
  noroots norealroots nosuchvalue nosuchvalues nosuchnumber nosuchnumbers novalues novalue doesnotexist donotexist dne emptyset
  theemptyset therearenosolutions thereisnosolution thereisnorealsolution therearenorealsolutions thereisno
  noneexist noneexists nointegersolutions nointegersolution nosolutionexists nosolutionsexist'''.split())
_CLOCK = re.compile(r'(?:(?P<hour>\d{1,2}):(?P<minute>\d\d)|(?P<whole>\d{1,2}))?@?(?P<half>[ap]\.?m\.?|noon|midnight)?', re.IGNORECASE)
_ORDINAL = re.compile(r'(\d+)(?:\^\{?)?(?:st|nd|rd|th)\}?@?([a-z]*)', re.IGNORECASE)
_OPTION = re.compile(r'(?:\\(?:text|math)(?:bf|rm|sf|normal)?\s*\{|\\(?:mathbf|boldsymbol)\s*\{|\*\*)?\s*\(\s*([A-J])\s*\)\s*[}.:]*(?:\*\*)?'
                     r'(?:\\[ ,;:]|\\q?quad|~|\s|\})*')


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
  if gold in _EMPTY:
    return True if answer in _EMPTY else None
  if ':' in gold or gold.endswith(('noon', 'midnight')):
    times = _clock(answer), _clock(gold)
    if None not in times and (times[0][2] or times[1][2]):
      (hour, minute, half), (its, others, which) = times
      # 12:00 alone is noon; an answer may say which half where the gold leaves it open
      return (hour, minute) == (its, others) and (half == which or not which or not half and gold.endswith('noon'))
  if gold[:1].isdigit() and (match := _ORDINAL.fullmatch(gold)):
    its = _ORDINAL.fullmatch(answer)
    if its:
      return its[1] == match[1] and (its[2] == match[2] or not its[2] or not match[2])
    return answer == match[1] if answer.isdigit() else None
  if gold.isdigit() and answer[:1].isdigit() and (match := _ORDINAL.fullmatch(answer)) and match[2]:
    return match[1] == gold  # 12th grade; the bare 12th is another answer
  return None


def option(answer: str, gold: str) -> str | tuple[str, str] | None:
  r"""What decides where gold or answer is an option with its text, '\textbf{(C)}\ 12'.

  '' if they name the same letter, a pair (answer, gold) of what else to compare, None if neither is one.
  """
  if '(' not in answer + gold:
    return None
  answer, gold = plain.fonts(answer).strip('$ '), plain.fonts(gold).strip('$ ')
  mine, its = _OPTION.match(answer), _OPTION.match(gold)
  letter = re.fullmatch(r'(?:\\text\s*\{)?\s*([A-J])\s*\}?', answer)
  if its and its.end() < len(gold):
    if letter or mine:
      return '' if (mine or letter)[1] == its[1] and _alone(answer, mine) else ('0', '1')
    return answer, gold[its.end():].rstrip('}') if gold.count('}') > gold.count('{') else gold[its.end():]
  named = re.fullmatch(r'(?:\\text\s*\{)?\(?([A-J])\)?\}?', gold)
  if named and mine:
    return '' if mine[1] == named[1] and _alone(answer, mine) else ('0', '1')
  return None


def _alone(answer: str, match) -> bool:
  """Whether the text of an option names no other one."""
  rest = answer[match.end():] if match else ''
  return not re.search(r'\b(?:or|and|not)\b|\(\s*[A-J]\s*\)|\b[B-J]\b', rest)
