"""main --rehearse: one's own config and files tried before a machine is paid for.

Every file is read whole and measured against the real sizes; then every stage runs for two steps with a tiny random
model (vibethinker_jax.programs.smaller) on some of these rows, in WORKDIR/rehearsal. The run itself is not touched.
"""

from collections.abc import Callable
import json
import logging
import pathlib
import time
from typing import NamedTuple

from vibethinker_jax import config as config_lib
from vibethinker_jax.data.files import rows as rows_lib
from vibethinker_jax.data.tokens import chat, chat_template
from vibethinker_jax.programs import reading, recipe as recipe_lib, smaller, stage as stage_lib
from vibethinker_jax.runtime import disk, hub, storage

FOLDER, MARK = 'rehearsal', 'made_by_rehearse'
SHOWN = 700  # characters of a prompt
MULTIPLE, MOST = 256, 2048  # tokens of rows: a multiple; longer examples are left out where there are shorter ones
LOG = logging.getLogger('vibethinker_jax')


class Read(NamedTuple):
  """A part of the recipe, that of several stages if they read the same, and what was found in its files."""

  part: reading.Part
  found: reading.Found


def rehearse(config: dict, workdir: pathlib.Path, run: Callable) -> str:
  """Reads all, runs the small recipe with `run(config, workdir)`, and returns the table.

  Raises:
    ValueError: what is wrong with the rows, a line each, before anything is computed; what goes wrong in a stage.
  """
  started, config = time.time(), config_lib.plain(config)
  recipe, options = recipe_lib.bind(config)
  folder = _fresh(workdir / FOLDER, recipe.stages)
  parts = reading.parts(recipe, options, recipe.stages)
  tokenizers, path, exact = _tokenizers(recipe, config, parts, folder)
  read = _read(parts, tokenizers)
  reading.refuse(
    recipe_lib.no_verifier(recipe)
    + _no_template(recipe)
    + [f'{x.part.where}: {line}' for x in read for line in x.found.faults + (x.found.long if exact else [])]
  )
  _say_elsewhere(recipe, options)
  for x in read if not exact else ():
    for line in x.found.long:
      LOG.warning('perhaps too long, by the small tokenizer: %s: %s', x.part.where, line)
  LOG.info(
    'all %d files are in order (%.0f s); now two steps of each stage with a tiny random model, in %s',
    len({path for part in parts for path in rows_lib.paths(part.data.files)}),
    time.time() - started,
    storage.named(str(folder)),
  )
  run(_small(config, read, tokenizers, path, folder), folder)
  return _table(config, parts, read, folder) + (
    f'\nRehearsed: all {len(recipe.stages)} stages ran, in {time.time() - started:.0f} s. Nothing in {folder} is of '
    'use; the '
    'run itself was not touched: leave --rehearse out to start it'
  )


def _no_template(recipe: config_lib.Recipe) -> list[str]:
  """A line if the file of config.chat_template has none: where the base is not on this machine nobody else reads it."""
  try:
    if recipe.chat_template:
      chat_template.names(chat_template.read(recipe.chat_template))
  except ValueError as error:
    return [
      f'config.{error}'
      if str(error).startswith('chat_template')
      else f'config.chat_template={recipe.chat_template!r}: {error}'
    ]
  return []


def _say_elsewhere(recipe: config_lib.Recipe, options: dict) -> None:
  """Warns of models that are neither stages nor here: the tiny one stands for them, and for a name with a typo."""
  for name, values in options.items():
    for field, source in recipe_lib.models(values):
      path = source.partition('@')[0]
      if path not in (*recipe.stages, *recipe_lib.NAMES) and not storage.exists(path) and not hub.is_name(source):
        LOG.warning(
          '%s.%s: %r is no stage of this recipe%s and not on this machine: the tiny model stands for it',
          name,
          field,
          source,
          config_lib.nearest(path, recipe.stages),
        )


def _fresh(folder: pathlib.Path, stages: tuple) -> pathlib.Path:
  """The rehearsal's own directory, without what an earlier one left there."""
  if folder.name in stages or folder.exists() and not (folder / MARK).exists():
    raise ValueError(
      f'{folder} is needed for the rehearsal, and is something else here: name the stage differently, or '
      'give another --workdir'
    )
  disk.check(folder.parent)
  storage.remove(folder)
  folder.mkdir(parents=True)
  (folder / MARK).touch()
  return folder


def _tokenizers(recipe: config_lib.Recipe, config: dict, parts: list[reading.Part], folder: pathlib.Path):
  """({root of a part: its tokenizer}, the path of the tiny model's, whether that is the base's own)."""
  why = _lacking(recipe.base)
  exact = not why
  if exact:
    LOG.info('measured with the tokenizer of config.base=%r', recipe.base)
  else:
    LOG.warning(
      'config.base=%r %s: measured with a small tokenizer of our own, which makes two or three times as many tokens; '
      'with the directory of that model, or the tokenizer files of it alone, it is exact',
      recipe.base,
      why,
    )
    recipe = recipe_lib.bind(smaller.smaller(config))[0]
  stage = stage_lib.Stage('', folder, folder, config, recipe, None, None)
  own = stage_lib.tokenizer_of(stage, recipe.base)
  found = dict.fromkeys((part.root for part in parts), own)
  for root in found.keys() - {recipe.base, 'scratch'}:
    if not _lacking(root):
      found[root] = stage_lib.tokenizer_of(stage, root)
  (folder / 'tokenizer').mkdir()
  for name, content in own.files().items():
    (folder / 'tokenizer' / name).write_bytes(content)
  only = list(own.files())
  return found, str(folder / 'tokenizer' / only[0] if only == ['tokenizer.model'] else folder / 'tokenizer'), exact


def _lacking(root: str) -> str:
  """Why the tokenizer of a model cannot be had, '' if it can."""
  try:
    name = root if hub.is_name(root) else root.partition('@')[0]
    return '' if root == 'scratch' or hub.local(name, weights=False).exists() else 'is not on this machine'
  except ValueError as error:
    return f'does not come: {error}'


def _read(parts: list[reading.Part], tokenizers: dict) -> list[Read]:
  """What stages read together once; shows the first prompt of each."""
  read = []
  for part in reading.together(parts):
    LOG.info('%s reads %s', part.where, part.data.files)
    found = reading.read(part, reading.Lengths(tokenizers[part.root]), longest=True)
    if found.first:
      text = '\n'.join(f'  {m["role"]}: {m["content"]}' for m in chat.messages(found.first))
      LOG.info(
        '  %d rows, the longest prompt has %d tokens; the first asks\n%s',
        found.rows,
        found.longest,
        text[:SHOWN] + (' ...' if len(text) > SHOWN else ''),
      )
    read.append(Read(part, found))
  return read


def _small(config: dict, read: list[Read], tokenizers: dict, path: str, folder: pathlib.Path) -> dict:
  """The recipe made small, on a few rows of each of its files; its rows hold these."""
  names, prompts, examples = {}, [0], []
  for n, (part, _) in enumerate(read):
    entries = rows_lib.entries(part.data.files)
    small = reading.sample(part, folder / 'data' / str(n))
    names |= dict(zip(entries, rows_lib.entries(small.data.files)))
    tokens = reading.tokens(small, reading.Lengths(tokenizers[part.root]))
    if part.kind == 'examples':
      examples.append(max([n for n in tokens if n <= MOST] or [min(tokens)]))
    else:
      prompts += tokens
  above = lambda n: max(1, -(-n // MULTIPLE)) * MULTIPLE
  made = smaller.smaller(config, above(max(prompts) + smaller.TOKENS), above(max(examples, default=0)), path)
  for name in made['stages']:
    made[name] = _on(made[name], names)
    if made[name]['program'] == 'sft':
      made[name]['too_long'] = 'drop'
  return made


def _on(options: dict, names: dict[str, str]) -> dict:
  """A stage's options with other names of files."""
  return {
    key: _on(value, names)
    if isinstance(value, dict)
    else ','.join(names.get(entry, entry) for entry in rows_lib.entries(value))
    if key == 'files'
    else value
    for key, value in options.items()
  }


def _table(config: dict, parts: list[reading.Part], read: list[Read], folder: pathlib.Path) -> str:
  """What was read for each stage, and what came of it."""
  found = {(x.part.kind, x.part.data): x.found for x in read}
  lines = [('stage', 'program', 'rows read', 'longest prompt', 'what it did', 'seconds')]
  for name in config['stages']:
    mine = [found[part.kind, part.data] for part in parts if part.stage == name]
    result = json.loads((folder / name / 'result.json').read_text())
    lines.append(
      (
        name,
        config[name]['program'],
        f'{sum(f.rows for f in mine):,}' if mine else '-',
        f'{max(f.longest for f in mine):,}' if mine else '-',
        _came(config[name]['program'], result),
        f'{result["seconds"]:.0f}',
      )
    )
  widths = [max(map(len, column)) for column in zip(*lines)]
  left = (True, True, False, False, True, False)
  cells = lambda line: (cell.ljust(w) if to_left else cell.rjust(w) for cell, w, to_left in zip(line, widths, left))
  return '\n'.join('  '.join(cells(line)).rstrip() for line in lines)


def _came(program: str, result: dict) -> str:
  if program == 'sft':
    return f'{result["steps"]} updates, loss {result["final_loss"]:.2f}'
  if program == 'rl':
    counts = result['group_accuracy_histogram']
    return f'{result["steps"]} updates, {sum(counts[1:-1])} of {sum(counts)} groups right and wrong'
  if program == 'probe':
    return f'{len(result["scores"])} checkpoints, {len(result["chosen"])} domains'
  if program == 'merge':
    return f'{len(set(result["specialists"].values()))} checkpoints averaged'
  if program == 'filter':
    return f'{result["kept"]} of {result["traces"]} traces kept'
  if program == 'distill':
    return f'{result["kept"]} of {result["sampled"]} responses kept'
  problems = max(s['problems'] for scores in result['models'].values() for s in scores.values())
  return f'{len(result["models"])} models, {problems} problems'
