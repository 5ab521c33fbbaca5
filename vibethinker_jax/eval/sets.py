"""Benchmark sets: their problems, how they are asked, and what of that is written into a result."""

import collections
import hashlib
from importlib import metadata
import json
import os
import pathlib
import platform
import re
import subprocess
from typing import NamedTuple

from vibethinker_jax.data import fields as fields_lib, presets, published, sources, synthetic, turns
from vibethinker_jax.data.files import remote, rows as rows_lib
from vibethinker_jax.sampler import defaults

SUBJECT = 'subject|type|subfield|category|difficulty'  # where a set has no domain


class Protocol(NamedTuple):
  """How a set is asked; what is negative is as its preset has it.

  Attributes:
    samples: responses to each problem. temperature, top_p, max_tokens, top_k, min_p: how they are sampled
      (sampler.engine.Options).
  """

  samples: int
  temperature: float
  top_p: float
  max_tokens: int
  top_k: int = 0
  min_p: float = 0.0


OF_PRESET = Protocol(-1, -1, -1, -1, -1, -1)


class Set(NamedTuple):
  """A set to evaluate on.

  Attributes:
    name: of the preset or the file. preset: its name, '' if none. files: as given.
    rows: problems with id, prompt (what the model is asked), problem (the bare text), subject, and answer or tests.
    samples, temperature, top_p, max_tokens, top_k, min_p: the protocol; None where stored responses do not tell.
    system, prefix: as given (sources.DataOptions); they stand in the rows. stop: see data.tokens.stops.
  """

  name: str
  preset: str
  files: str
  rows: list
  samples: int
  temperature: float
  top_p: float
  max_tokens: int
  system: str = ''
  prefix: str = ''
  top_k: int = 0
  min_p: float = 0.0
  stop: tuple[str, ...] = ()

  def settings(self) -> dict:
    """What decides the responses and verdicts, the number of samples aside; digest: of prompts, answers and tests."""
    asked = [
      {name: row.get(name) for name in ('id', 'prompt', 'answer', 'tests', 'choices', 'constraints')}
      for row in self.rows
    ]
    given = {name: value for name in ('system', 'prefix', 'top_k', 'min_p', 'stop') if (value := getattr(self, name))}
    return {
      'preset': self.preset,
      'problems': len(self.rows),
      'temperature': self.temperature,
      'top_p': self.top_p,
      'max_tokens': self.max_tokens,
      'digest': digest(asked),
      **given,
    }

  def drawn(self) -> dict:
    """temperature, top_p, top_k, min_p."""
    return {name: getattr(self, name) for name in defaults.Drawn._fields}

  def notes(self) -> list[str]:
    """Where this is not what the preset says, or not what its name promises."""
    found = []
    if self.preset:
      wanted = presets.find(self.preset)
      found += [
        f'{name}={getattr(self, name)} where the protocol has {getattr(wanted, name)}'
        for name in Protocol._fields
        if getattr(self, name) not in (None, getattr(wanted, name))
      ]
      if len(self.rows) != wanted.problems:
        found.append(f'{len(self.rows)} problems where the benchmark has {wanted.problems}')
    return found + [
      kind if count == len(self.rows) else f'{kind} for {count} problems' for kind, count in self._weaker()
    ]

  def score_name(self, samples: int) -> str:
    """avg@n, and what has to be said with it every time."""
    said = [kind if count == len(self.rows) else f'{kind} for {count} problems' for kind, count in self._weaker()]
    return f'avg@{samples}' + (f' ({", ".join(said)})' if said else '')

  def _weaker(self) -> list[tuple[str, int]]:
    """(what, of how many problems) where a benchmark's own tests are missing, or most of them."""
    counts = collections.Counter(row.get('tests_are') for row in self.rows)
    return [(f'{kind} tests only', counts[kind]) for kind in ('public', 'sample') if counts[kind]]


def digest(values) -> str:
  return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def read(options: sources.DataOptions, preset: str, protocol: Protocol, limit: int = 0) -> Set:
  """A set of files.

  Args:
    options: which files and fields. limit: so many problems from the start of the set, 0 is all.

  Raises:
    ValueError: bad rows, or rows that are not of the preset.
  """
  rows = sources.read_problems(options)
  if preset:
    rows = presets.select(rows, presets.find(preset))
  return make(preset or name_of(options.files), preset, options, rows[: limit or None], protocol)


def paired(data: str, names: list[str]) -> list[tuple[str, str]]:
  """(files, preset or '') of each set that --data and --preset name; without data those where the presets' sets live.

  Raises:
    ValueError: a preset that there is not, or presets that do not fit the files.
  """
  for name in names:
    presets.find(name)
  if not data:
    return [(published.HOMES[name].entries(), name) for name in names]
  entries = rows_lib.entries(data)
  files = [data] if len(names) == 1 else entries
  if names and len(names) != len(files):
    raise ValueError(
      f'--preset names {len(names)} protocols for {len(entries)} entries of --data: give one, or one for each'
    )
  return list(zip(files, names or [''] * len(files)))


def named(data: str, names: list[str]) -> list[tuple[str, str]]:
  """(where they are named, files) of each set, those first that may be refused.

  Raises:
    ValueError: see paired.
  """
  if data:
    return [('--data', files) for files, _ in paired(data, names)]
  asked = sorted(paired(data, names), key=lambda found: not published.HOMES[found[1]].gated)
  return [(f'--preset={name}', files) for files, name in asked]


def name_of(files: str) -> str:
  """'math500' of 'data/math500.jsonl.gz'."""
  name = remote.name(rows_lib.entries(files)[0]).replace('*', '')
  return re.sub(r'\.(gz|jsonl?|[ct]sv|parquet|array_?record)\b', '', name, flags=re.IGNORECASE) or 'set'


def make(name: str, preset: str, options: sources.DataOptions, rows: list[dict], protocol: Protocol) -> Set:
  """A set of rows as sources.read_problems gives them."""
  wanted = presets.find(preset) if preset else None
  seen, prepared = collections.Counter(), []
  for row in rows:
    seen[row['id']] += 1
    row = row | {'id': row['id'] if seen[row['id']] == 1 else f'{row["id"]}#{seen[row["id"]]}'}
    asked = presets.prompt(row, wanted.kind) if wanted and not options.prompt else row['prompt']
    prepared.append(row | {'problem': bare(row), 'prompt': asked, 'subject': subject(row, options)})
  chosen = {field: given if given >= 0 else getattr(wanted, field) for field, given in protocol._asdict().items()}
  return Set(name, preset, options.files, prepared, system=options.system, prefix=options.prefix, **chosen)


def synthetic_set(
  domains, count: int, seed: int, levels: tuple, templates: tuple, protocol: Protocol, options: sources.DataOptions
) -> Set:
  """Held-out synthetic problems; of the options, system and prefix count."""
  rows = [
    turns.asked(row, row, options)
    for domain in domains
    for row in synthetic.problems(domain, 'evaluate', count, seed, levels, templates)
  ]
  return make('synthetic', '', options._replace(files='synthetic'), rows, protocol)


def bare(row: dict) -> str:
  """The problem's text without the words that ask for an answer; of chat messages the users' turns."""
  text = row.get('problem') or row['prompt']
  if isinstance(text, list):
    return '\n'.join(turn['content'] for turn in text if turn['role'] == 'user')
  return text


def subject(row: dict, options: sources.DataOptions) -> str:
  """By what a set is divided in its table: its domain if it has one or one is named, else its subject; '' if none."""
  if options.domain or row.get('domain') not in (None, *map(os.path.basename, rows_files(options))):
    return str(row['domain'])
  found = fields_lib.field(row, SUBJECT)
  return '' if found is None else str(found)


def rows_files(options: sources.DataOptions) -> list[str]:
  return [] if options.files == 'synthetic' else rows_lib.paths(options.files)


def by_model(chosen: list[Set], files: dict[str, bytes], given: dict) -> tuple[list[Set], dict]:
  """(The sets, those without a preset with what the model says about sampling and nobody else does; just that).

  Args:
    files: of the model's tokenizer. given: what the command line says, None where it does not.

  Raises:
    ValueError: see defaults.taken.
  """
  taken = defaults.taken(files, given) if not all(s.preset for s in chosen) else {}
  return [s if s.preset else s._replace(**taken) for s in chosen], taken


def distinct(found: list[Set]) -> list[Set]:
  """The sets under names of their own."""
  names = [s.name for s in found]
  return [s._replace(name=f'{s.name}-{i + 1}') if names.count(s.name) > 1 else s for i, s in enumerate(found)]


def versions() -> dict:
  """Of what judges: a digest of all our sources, the commit if they are a git checkout, Python, math-verify."""
  package, every = pathlib.Path(__file__).parent.parent, hashlib.sha256()
  for path in sorted(package.rglob('*.py')):
    every.update(str(path.relative_to(package)).encode() + b'\0' + path.read_bytes())
  return {
    'vibethinker_jax': _installed(),
    'sources': every.hexdigest()[:16],
    'commit': _commit(package.parent),
    'python': platform.python_version(),
    'math_verify': metadata.version('math-verify'),
  }


def _installed() -> str | None:
  try:
    return metadata.version('vibethinker_jax')
  except metadata.PackageNotFoundError:
    return None


def _commit(root: pathlib.Path) -> str | None:
  if not (root / '.git').exists():
    return None
  try:
    done = subprocess.run(
      ['git', '-C', str(root), 'rev-parse', 'HEAD'], capture_output=True, text=True, timeout=20, check=False
    )
  except (OSError, subprocess.TimeoutExpired):
    return None
  return done.stdout.strip() or None
