r"""The answer of a response: which of its boxes, and whether it may be compared at all.

answer_of(parse('<think>6*7</think>So \\boxed{42}.')) == '42'
"""

from __future__ import annotations

import re
import unicodedata

from vibethinker_jax.verify.maths import plain
from vibethinker_jax.verify.maths.normal import EDGES, normalise
from vibethinker_jax.verify.parts import BOX, Parts, closing_brace

MAX_ANSWER = 400  # characters: longer answers cost antlr seconds and are never right (reliability.md)
MAX_NESTING = 30

_BESIDE = re.compile(
  r'(?:[\s,;$&~、，]|\\(?:[,;:! ()\[\]]|q?quad\b|text\s*\{\s*(?:,?\s*(?:and|or))?\s*,?\s*\})'
  r'|\band\b|\bor\b|和|或|[A-Za-z](?:_\{?\w\}?)?\s*=)*'
)


def side_by_side(text: str) -> str | None:
  r"""The parts of an answer given in several boxes: 'x=\boxed{1}, y=\boxed{2}' -> '1, 2'.

  None unless all boxes of text stand in its last line that has one, with nothing but separators and names between.
  """
  start = next((m.start() for m in BOX.finditer(text)), -1)
  last = text[start:].strip()
  if start < 0 or '\n' in last[: max(m.start() for m in BOX.finditer(last))]:
    return None
  parts, at = [], 0
  for match in BOX.finditer(last):
    if match.start() < at:
      return None
    if parts and not _BESIDE.fullmatch(last[at : match.start()]):
      return None
    end = closing_brace(last, match.end()) if match['brace'] else match.end() - 1
    parts.append((last[match.end() : end] if match['brace'] else match['token'].rstrip(',')).strip(EDGES + '$'))
    at = (end if match['brace'] else match.end() - 1) + 1
  return ', '.join(parts) if len(set(map(normalise, parts))) == len(parts) <= 8 and all(map(str.strip, parts)) else None


def nesting(text: str) -> int:
  """The deepest nesting of (), [] and {} in text, counting openings only where they are not yet closed."""
  depth = deepest = 0
  for c in text:
    if c in '([{':
      depth += 1
      deepest = max(deepest, depth)
    elif c in ')]}':
      depth = max(depth - 1, 0)
  return deepest


def usable(answer: str) -> bool:
  """Whether an answer may go on to comparison: not blank, short, shallow, only ASCII digits, no zero-width
  characters."""
  if not answer.strip() or len(answer) > MAX_ANSWER or nesting(answer) > MAX_NESTING:
    return False
  if answer.isascii() and answer.isprintable():
    return True
  return not any(c.isdigit() and not c.isascii() or unicodedata.category(c) in ('Cf', 'Cs') for c in answer)


def answer_of(parts: Parts) -> str | None:
  r"""The boxed answer of a response.

  Returns:
    The content of the last \boxed{} after the only '</think>'. None, which is judged wrong, if there is no
    box, one is not closed, several differ (hedging) and do not stand side by side as the parts of one
    answer, which are then returned as a list; the answer is blank, over 400 characters, nested deeper than 30 or has
    digits of other scripts (full-width ones are read), or the think tags are malformed. Source: reliability.md,
    Maths verification.
  """
  found = [plain.ascii_text(box) for box in parts.boxes]
  while found and not found[0].strip():
    found.pop(0)  # the prompt's 'put your answer in \\boxed{}' restated; after an answer an empty box withdraws it
  spellings = set(found)
  if not spellings or len(spellings) > 32 or not all(map(usable, spellings)):
    return None
  if len(set(map(normalise, spellings))) > 1:
    several = side_by_side(parts.final)
    return plain.ascii_text(several) if several and usable(plain.ascii_text(several)) else None
  return found[-1].strip(EDGES)
