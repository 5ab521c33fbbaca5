r"""A response taken apart, once: what is judged of it, the boxes and the program in it. Pure text: nothing is
evaluated.

parse('<think>6*7</think>So \\boxed{42}.').boxes == ('42',)
parse('<think>x</think>\n```python\nprint(5)\n```').program == 'print(5)\n'
"""

from __future__ import annotations

import re
from typing import NamedTuple

_OPEN, _CLOSE = '<think>', '</think>'
# \boxed{...}; \boxed 7 and \boxed\pi are what TeX allows too, and people write \boxed 17
BOX = re.compile(
  r'\\(?:boxed|fbox)\s*(?:(?P<brace>\{)|(?P<token>[-+]?\d[\d,]*(?:\.\d+)?(?:/\d+)?'
  r'|\\[dt]?frac\s*(?:\{[^{}]*\}\s*\{[^{}]*\}|\d\s*\d)|\\(?:pi|infty|emptyset|varnothing)|[A-Za-z])'
  r'(?=[\s$.,;)\]\\。]|$))'
)
_FENCE = re.compile(r'^[ \t]*```[ \t]*([A-Za-z0-9_+-]*)[^\n`]*$', re.MULTILINE)


class Parts(NamedTuple):
  """A response to be judged.

  Attributes:
    final: what follows the only '</think>'; the whole response if it has no think tag at all; None when a thought is
      never closed, or there is more than one '</think>' (a second one could hide a first answer).
    boxes: contents of the top-level \\boxed{} of `final` in order; () also where one of them is never closed.
    program: the last closed ```python (or py, python3) block of `final` with its last newline; None if there is none,
      or if the last fence is never closed.
  """

  final: str | None
  boxes: tuple[str, ...] = ()
  program: str | None = None


def parse(response: str) -> Parts:
  """Takes a model's whole text apart. The chat template may have put '<think>' into the prompt, so that only '</think>'
  is in the response."""
  final = _final(response)
  return Parts(None) if final is None else Parts(final, tuple(boxes(final) or ()), _program(final))


def _final(response: str) -> str | None:
  closes = response.count(_CLOSE)
  if closes == 0:
    return None if _OPEN in response else response
  if closes > 1:
    return None
  final = response[response.index(_CLOSE) + len(_CLOSE) :]
  return None if _OPEN in final else final


def closing_brace(text: str, start: int) -> int:
  r"""Index of the brace that closes the group whose content begins at start, -1 if none (\{ and \} don't
  count)."""
  depth, i = 1, start
  while i < len(text):
    c = text[i]
    if c == '\\':
      i += 1
    elif c == '{':
      depth += 1
    elif c == '}':
      depth -= 1
      if depth == 0:
        return i
    i += 1
  return -1


def boxes(text: str) -> list[str] | None:
  r"""Contents of the top-level \boxed{} of text in order; None if one of them is not closed (truncated)."""
  found, at = [], 0
  while match := BOX.search(text, at):
    end = closing_brace(text, match.end()) if match['brace'] else match.end()
    if end < 0:
      return None
    found.append(text[match.end() : end] if match['brace'] else match['token'].rstrip(','))
    at = end + 1
  return found


def _program(final: str) -> str | None:
  if '```' not in final:  # most answers of maths: looking for lines of fences costs 60 us
    return None
  source, language, start = None, None, 0
  for fence in _FENCE.finditer(final):
    if start == 0:
      language, start = fence.group(1).lower(), fence.end() + 1
    elif not fence.group(1):
      if language in ('python', 'py', 'python3'):
        source = final[start : fence.start()]
      start = 0
  return None if start else source
