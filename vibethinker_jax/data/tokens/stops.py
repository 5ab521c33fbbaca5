"""Stop strings: a response ends where one of them first stands in its text, on whatever tokens it is spread.

The response has the tokens up to the one that completes the string, as it has its stop token; its text ends before the
string. Models that were never taught to end a turn need them.
"""

from collections.abc import Callable, Sequence
import functools
import re

LOST = '\N{REPLACEMENT CHARACTER}'  # what a tokenizer makes of the bytes of a character that is not complete


def read(given: str) -> tuple[str, ...]:
  r"""Stop strings of a flag, commas between; \n in two characters, as shells pass it on, is a line end, \, a comma.
  Spaces count.

  Raises:
    ValueError: one is empty, or has a character that stands for incomplete ones.
  """
  found = re.split(r'(?<!\\),', given) if given else ()
  for text in found:
    if not text or LOST in text:
      raise ValueError(
        f'--stop={given!r} has {text!r}, which says nothing: give texts that end a response, with commas between; '
        'a comma of a text is \\,'
      )
  return tuple(text.replace('\\n', '\n').replace('\\,', ',') for text in found)


def ids(tokenizer, stops: Sequence[str]) -> tuple[int, ...]:
  """The tokens that end a response: the tokenizer's, and stop strings that are control tokens, which no text shows.

  Raises:
    ValueError: a stop string that has a control token and more: it would never be found.
  """
  for text in stops:
    if text not in tokenizer.controls and (held := next((x for x in tokenizer.controls if x in text), None)):
      raise ValueError(
        f'--stop has {text!r}: {held} is a control token of this model, which is no text: give it alone, {held!r}'
      )
  return tuple(sorted({*tokenizer.stop_ids, *(tokenizer.controls[x] for x in stops if x in tokenizer.controls)}))


def cut(text: str, stops: Sequence[str]) -> str:
  """The text before the first stop string; all of it if there is none."""
  places = [place for stop in stops if (place := text.find(stop)) >= 0]
  return text[: min(places, default=len(text))]


def settled(text: str, stops: Sequence[str]) -> str:
  """What of a text that goes on will stand, whatever follows: without the beginning of a stop string, or of a
  character, at its end."""
  text = cut(text, stops).rstrip(LOST)
  begun = (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
  return text[: len(text) - max(begun, default=0)]


def finder(decode: Callable, stops: Sequence[str]) -> Callable | None:
  """engine.Callbacks.ends for stop strings; None where there are none.

  Args:
    decode: token ids -> text.
  """
  if not stops:
    return None
  longest = max(map(len, stops))

  @functools.cache
  def whole(token: int) -> bool:
    """Whether a token is text by itself: two characters are more than the byte that a token may be."""
    return len(text := decode([token])) > 1 and LOST not in text

  def start(tokens, old: int) -> int:
    """Where to decode from, so that thousands of tokens need not be, again and again: a token that is text by itself,
    behind which everything is decoded as in the whole, and more than a stop string of old text behind it."""
    enough = (a for a in range(old - 1, 0, -1) if whole(int(tokens[a])) and len(decode(tokens[a + 1 : old])) > longest)
    return next(enough, 0)

  def ends(p, g, tokens, new: int) -> int:
    old = len(tokens) - new
    window = tokens[start(tokens, old) :]
    inside = lambda text: any(stop in text for stop in stops)
    if not inside(text := decode(window)) and LOST not in text:
      return 0
    # The bytes of a character to come may tear what stands before them: every beginning is looked at.
    sizes = range(len(window) - new + 1, len(window) + 1)
    return next((len(tokens) - len(window) + n for n in sizes if inside(decode(window[:n]))), 0)

  return ends
