"""responses.jsonl: every response as a line as soon as it is complete; whoever stops an evaluation loses none of them.

While responses come in, the file grows in the order in which they end. When all are there and judged, it is replaced by
the same lines in the order of the problems, with their verdicts: then it depends on the settings alone, not on when and
how often the evaluation was stopped.
"""

import json
import os
import pathlib
import threading
import time

from vibethinker_jax import config as config_lib
from vibethinker_jax.runtime import disk
from vibethinker_jax.verify import default

BEFORE = {'verifier': default.NAME}  # what directories of before have no word of
NAME, TIMING = 'responses.jsonl', 'timing.json'
EVERY = 1.0  # seconds between two notes of the time spent


class Journal:
  """Appends responses of one evaluation and remembers which are there.

  A line: set, id (of the problem), sample, response, tokens, cut_off.

  Args:
    directory: of the evaluation, created if needed. writes: False on all hosts but the first, which remember only.

  Raises:
    ValueError: a line in the middle of the file that is none of ours.
    disk.Unwritable: of every method that writes.
  """

  def __init__(self, directory: pathlib.Path, writes: bool = True):
    self.path, self._timing = directory / NAME, directory / TIMING
    self.known = {}  # (set, id, sample) -> line
    self._lock, self._started, self._noted = threading.Lock(), 0.0, 0.0
    self._writes = writes
    if not writes:
      self._file, self._sessions = open(os.devnull, 'wb'), []
      return
    self._file = disk.open_lines(self.path, 'responses')  # without half a line that a killed process may have left
    for number, line in enumerate(self.path.read_bytes().splitlines()):
      try:
        row = json.loads(line)
        self.known[row['set'], row['id'], row['sample']] = row
      except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
          f'{self.path}, line {number + 1}: not a line of an evaluation ({error}); give another '
          '--output, or move the file away'
        ) from error
    self._sessions = json.loads(self._timing.read_text())['sessions'] if self._timing.exists() else []
    if self._sessions:  # a kill leaves the last moment unnoted
      last, noted = self._sessions[-1], self.timing()
      last['responses'] += max(0, len(self.known) - noted['responses'])
      last['tokens'] += max(0, sum(row['tokens'] or 0 for row in self.known.values()) - noted['tokens'])

  def append(self, row: dict) -> None:
    """Keeps one response; it is on its way to the disk when this returns."""
    line = json.dumps(row).encode() + b'\n'
    with self._lock:
      disk.append(self._file, line, 'responses')
      self.known[row['set'], row['id'], row['sample']] = row
      if self._started:
        session = self._sessions[-1]
        session['responses'] += 1
        session['tokens'] += row['tokens'] or 0
        if time.monotonic() - self._noted > EVERY:
          self._note()

  def start(self, **facts) -> None:
    """Begins to count time and tokens; facts: of the machine."""
    self._started = self._noted = time.monotonic()
    now = time.strftime('%Y-%m-%d %H:%M:%S')
    self._sessions.append({'started': now, 'seconds': 0.0, 'responses': 0, 'tokens': 0} | facts)

  def stop(self) -> None:
    """Ends it."""
    with self._lock:
      if self._started:
        self._note()
      self._started = 0.0

  def timing(self) -> dict:
    """Of all times that this evaluation sampled: seconds, responses, tokens, tokens_per_second, sessions."""
    total = {name: sum(s[name] for s in self._sessions) for name in ('seconds', 'responses', 'tokens')}
    rate = total['tokens'] / total['seconds'] if total['seconds'] else None
    return total | {
      'seconds': round(total['seconds'], 1),
      'tokens_per_second': rate and round(rate, 1),
      'sessions': self._sessions,
    }

  def _note(self) -> None:
    self._noted = time.monotonic()
    self._sessions[-1]['seconds'] = round(self._noted - self._started, 1)
    if self._writes:
      config_lib.write_json(self._timing, self.timing())

  def finish(self, lines: list[dict]) -> None:
    """Replaces the file by these lines, whole or not at all."""
    with self._lock, disk.replacing(self.path, 'the judged responses') as temporary:
      with temporary.open('w') as file:
        file.writelines(json.dumps(line) + '\n' for line in lines)
    with self._lock:
      self._file.close()
      self._file = disk.open_lines(self.path, 'responses')

  def remove(self) -> None:
    """Leaves no file behind."""
    self.close()
    for path in (self.path, self._timing) if self._writes else ():
      path.unlink(missing_ok=True)

  def close(self) -> None:
    self._file.close()


def check_same(path: pathlib.Path, identity: dict, chosen: list, remedy: str) -> dict:
  """What decides the responses in a directory: the identity, of the model and the draws, and 'sets'.

  Args:
    path: of the file that holds what an earlier start had. chosen: sets. remedy: the end of an error's text.

  Raises:
    ValueError: an earlier start had others.
  """
  config = json.loads(json.dumps(identity | {'sets': {s.name: s.settings() for s in chosen}}))
  old = BEFORE | json.loads(path.read_text()) if path.exists() else {'sets': {}}
  changed = [
    line
    for name in identity
    for line in config_lib.differences({name: old.get(name, config[name])}, {name: config[name]})
  ]
  changed += [
    line
    for name in config['sets']
    if name in old['sets']
    for line in config_lib.differences(old['sets'][name], config['sets'][name], name)
  ]
  if changed:
    raise ValueError(
      f'{path.parent} holds the responses of another evaluation:\n  ' + '\n  '.join(changed) + '\n' + remedy
    )
  return config | {'sets': old['sets'] | config['sets']}


def remember(path: pathlib.Path, identity: dict, chosen: list, remedy: str) -> None:
  """Writes it, once nothing else can be wrong."""
  config_lib.write_json(path, check_same(path, identity, chosen, remedy))
