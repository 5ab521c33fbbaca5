"""What a run has taken from elsewhere, as it was when it was first taken: the commits of models, the digests of data.

Within a process, and in a run that goes on, a name means what it meant first: `known` is asked before any server is. A
command keeps it as NAME in the directory that it writes.
"""

import json
import pathlib

from vibethinker_jax.runtime import disk

NAME = 'origins.json'
# models: {name: commit}; data: {entry of `files`: [{'url', 'sha256', 'size', 'tag'}, ...]}, tag: the server's word for
# the version.
known = {'models': {}, 'data': {}}


def take(earlier: dict) -> None:
  """Makes these the meaning of their names, in place of what this process knew of them."""
  for kind, names in known.items():
    names.update(earlier.get(kind, {}))


def forget() -> None:
  """As in a fresh process."""
  for names in known.values():
    names.clear()


def read(directory: pathlib.Path) -> dict:
  """What an earlier start kept in its directory, {} if there was none."""
  path = pathlib.Path(directory) / NAME
  return json.loads(path.read_text()) if path.exists() else {}


def write(directory: pathlib.Path) -> None:
  """Keeps what is known, if anything is."""
  if any(known.values()):
    with disk.replacing(pathlib.Path(directory) / NAME, NAME) as temporary:
      temporary.write_text(json.dumps(known, indent=1))


def of(*texts: str) -> dict:
  """Those whose names occur in these texts, for a result: {'models': {name: commit}, 'data': {entry: files}}, {} if
  none do.

  Of a file: its url, size and sha256.
  """
  named = {
    kind: {name: value for name, value in names.items() if any(name in text for text in texts)}
    for kind, names in known.items()
  }
  plain = lambda files: [{name: file[name] for name in ('url', 'sha256', 'size')} for file in files]
  data = {entry: plain(files) for entry, files in named['data'].items()}
  return {kind: names for kind, names in (named | {'data': data}).items() if names}
