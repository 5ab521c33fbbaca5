"""What the start of a stage says about its files: which fields of the rows were taken, which rows were left out and
why."""

import collections
import functools
import logging
from typing import Any

from vibethinker_jax.data.files import remote, rows as rows_lib
from vibethinker_jax.data.layouts import families, judge_layouts, response_layouts
from vibethinker_jax.data.layouts.chat_layouts import CONVERSATIONS, OTHERS, PLAIN
from vibethinker_jax.data.layouts.layout_fields import Unusable, filled

LOG = logging.getLogger('vibethinker_jax')
LEFT_OUT = 'left out'
LINES, SHOWN = 6, 160  # ways of reading, of rows left out, of faults in a file; characters of a text
WRONG = 100  # wrong rows of a file: what follows in it is not looked at
_ASKS = PLAIN + ('problem_description', 'instruction', 'input') + OTHERS


def log(lines: list[str]) -> None:
  """Says each line once: the stages of a recipe read the same files again."""
  for line in lines:
    _say(line)


@functools.cache
def _say(line: str) -> None:
  LOG.log(logging.WARNING if line.startswith(LEFT_OUT) else logging.INFO, '%s', line)


class WrongRows(ValueError):
  """Rows that cannot be read.

  Attributes:
    lines: what is wrong, a line each. rest: what the other rows gave.
  """

  def __init__(self, lines: list[str], rest: Any = None):
    super().__init__(lines[0] if len(lines) == 1 else f'{len(lines)} faults in the data:\n  ' + '\n  '.join(lines))
    self.lines, self.rest = lines, rest


def refuse(lines: list[str], wrong: list[str] | None, rest: Any = None) -> None:
  """Adds lines about wrong rows to `wrong`; raises WrongRows where that is None and there are lines."""
  if wrong is not None:
    wrong += lines
  elif lines:
    raise WrongRows(lines, rest)


class Readings:
  """Counts how the rows of some files were read."""

  def __init__(self, rows: rows_lib.Rows, options: Any):
    self._rows, self._options = rows, options
    self._wrong = collections.defaultdict(dict)  # path -> {what is wrong: the rows}
    self._full = set()  # files with WRONG wrong rows
    self._ways = {}  # how -> [first row, rows, files]
    self._left = collections.defaultdict(list)  # why -> [first row, rows]

  def add(self, i: int, reading: families.Reading) -> None:
    """A row that is used."""
    how = tuple(
      (part, found.used, found.name, 'tests' if part == 'answer' and 'tests' in found.fields else found.said)
      for part, found in reading.parts.items()
    )
    way = self._ways.setdefault(how, [i, 0, set()])
    way[1] += 1
    way[2].add(self._rows.place(i)[0].path)

  def leave_out(self, i: int, why: Unusable) -> None:
    """A row of no use."""
    place = self._left[str(why)] = self._left[str(why)] or [i, 0]
    place[1] += 1

  def add_wrong(self, i: int, error: ValueError) -> None:
    """A row that cannot be read."""
    path = self._rows.place(i)[0].path
    self._wrong[path].setdefault(str(error).removeprefix(f'{self._rows.location(i)}: '), []).append(i)
    if sum(map(len, self._wrong[path].values())) >= WRONG:
      self._full.add(path)

  def full(self, i: int) -> bool:
    """Whether the row is in a file of which enough is known."""
    return bool(self._full) and self._rows.place(i)[0].path in self._full

  def wrong(self) -> list[str]:
    """What is wrong with each file, a line for each kind of fault."""
    lines = []
    for path, faults in self._wrong.items():
      for text, (first, *more) in list(faults.items())[:LINES]:
        numbers = ', '.join(str(self._rows.number(i)) for i in more[:LINES]) + (', ...' if len(more) > LINES else '')
        unit = self._rows.place(first)[0].unit
        lines.append(
          f'{self._rows.location(first)}: {text}'
          + (f' (so {"is" if len(more) == 1 else "are"} {len(more)} more: {unit} {numbers})' if more else '')
        )
      if others := sum(map(len, list(faults.values())[LINES:])):
        lines.append(f'{path}: {others} more wrong rows, of other kinds')
      if path in self._full:
        lines.append(f'{path}: what follows the first {WRONG} wrong rows was not looked at')
    return lines

  def check(self, needs: str) -> None:
    """Raises ValueError where no row is of use."""
    if self._left and not self._ways and not self._wrong:
      why, (i, _) = next(iter(self._left.items()))
      count = sum(count for _, count in self._left.values())
      more = f' (and {count - 1} more rows are of no use)' if count > 1 else ''
      raise ValueError(f'{self._rows.location(i)}: {needs}; {why}{more}')

  def lines(self, parts: tuple[str, ...]) -> list[str]:
    """What to say, a line for each way in which rows were read, the most frequent first."""
    ways = sorted(self._ways.items(), key=lambda way: -way[1][1])
    found = [self._line({part: rest for part, *rest in how}, *way, parts) for how, way in ways[:LINES]]
    found += [f'{len(ways) - LINES} more kinds of rows, {sum(way[1] for _, way in ways[LINES:])} rows'] * (
      len(ways) > LINES
    )
    left = sorted(self._left.items(), key=lambda way: -way[1][1])
    total = sum(count for _, (_, count) in left)
    found += [
      f'{LEFT_OUT}: {count} of {len(self._rows)} rows: {why} (first: {self._rows.location(i)})'
      for why, (i, count) in left[:LINES]
    ]
    if len(left) > LINES:
      found.append(f'{LEFT_OUT}: {total} of {len(self._rows)} rows altogether, for {len(left)} reasons')
    return found

  def _line(self, how: dict, i: int, count: int, files: set, parts: tuple[str, ...]) -> str:
    row, said, names, others = self._rows[i], [], [], []
    for part in parts:
      used, name, words = how.get(part, ((), '', ''))
      option = getattr(self._options, part)
      where = repr(option) if option else ' and '.join(map(repr, used))
      if where:
        tested = words == 'tests' and not option
        said.append(
          f'{"tests" if tested else part} from {where}' + (f' ({words})' if words and not tested and not option else '')
        )
        names.append(name if not option else '')
        others += [] if option else [(other, part) for other in _others(row, part, used)]
    path, more = self._rows.place(i)[0].path, len(files) - 1
    layout = ', '.join(dict.fromkeys(filter(None, names)))
    line = (
      f'{remote.title(path)}{f" and {more} more files" if more else ""}: {count} rows'
      + (f' ({layout})' if layout else '')
      + f': {"; ".join(said)}'
    )
    if others:
      line += ''.join(f"; {other!r} is there too: data.{part}='{other}' takes it" for other, part in others[:4])
      line += f'. The first row: {_short(row)}'
    return line


def _others(row: dict, part: str, used: tuple) -> list[str]:
  """Further fields that could be the part."""
  names = {
    'prompt': [name for name in _ASKS if name in row],
    'response': response_layouts.candidates(row) + [name for name in CONVERSATIONS if name in row],
    'answer': [name for name in judge_layouts.ANSWERS + judge_layouts.TESTS if name in row],
  }[part]
  return [name for name in dict.fromkeys(names) if name not in used and filled(row[name])]


def _short(row: dict) -> str:
  return ', '.join(f'{name}: {str(value)[:SHOWN]!r}' for name, value in list(row.items())[:12])[:1000]
