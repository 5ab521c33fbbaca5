"""Runs a recipe, or some of its stages, and goes on where it stopped.

python -m vibethinker_jax.main --config=configs/tiny.py --workdir=runs/tiny
python -m vibethinker_jax.main --config=mine.py --workdir=runs/mine --rehearse   # before a machine is rented
"""

from vibethinker_jax.runtime import startup

if __name__ == '__main__':
  startup.prepare()

import logging
import pathlib
import time

from absl import app, flags
import jax
from ml_collections import config_flags

from vibethinker_jax import checkpoint, config as config_lib, sharding
from vibethinker_jax.aot.programs import shapes
from vibethinker_jax.data.tokens import chat_template
from vibethinker_jax.eval import rewards as rewards_lib
from vibethinker_jax.eval.pages import report
from vibethinker_jax.programs import elsewhere, inputs, reading, recipe as recipe_lib, rehearsal, space
from vibethinker_jax.programs.recipe import NAMES, PROGRAMS, bind, check_mesh, models
from vibethinker_jax.programs.stage import Stage, asking, finished, kept, tokenizer_of
from vibethinker_jax.runtime import disk, given, hosts, hub, origins, storage, timeline, watch
from vibethinker_jax.verify.code.sandbox.client import SandboxUnavailable
from vibethinker_jax.verify.pool import Pool

LOG = logging.getLogger('vibethinker_jax')
# may differ when it goes on
OF_A_START = ('stages', 'places', 'mesh', 'sandbox', 'verify', 'profile_steps', 'compilation_cache', 'hang_seconds')

ADDED = (('correct_at', 1.0), ('rewards', ()))  # workdirs of before have no such field and go on

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Config file of the recipe; fields can be set: --config.rl_code.steps=10'
)
WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of the run, or gs://BUCKET/DIRECTORY. Started again, it continues where it stopped.'
)
REHEARSE = flags.DEFINE_bool(
  'rehearse',
  False,
  'Read and measure every file, then try two steps of each stage with a tiny random model, in '
  'WORKDIR/rehearsal; the run itself is not touched.',
)
STAGES = flags.DEFINE_list('stages', [], 'Only these stages, in the order of the recipe. Default: all.')
READ = {
  'here': given.words('config workdir stages rehearse'),
  'with --rehearse': given.words('config workdir rehearse'),
}
MEANT = {'stages': 'a rehearsal runs all stages, for a later one starts from the earlier'}


def main(argv) -> None:
  given.check(argv, 'with --rehearse' if REHEARSE.value else 'here', READ, MEANT)
  startup.plain_logs()
  config, where = CONFIG.value.to_dict(), WORKDIR.value
  try:
    recipe, _ = bind(config, tuple(STAGES.value))
    storage.checked(where, '--workdir')
    storage.checked(recipe.compilation_cache, 'config.compilation_cache')
  except ValueError as error:  # the same on every host, and before they wait for each other
    raise SystemExit(f'error: {error}') from None
  if REHEARSE.value:
    startup.leave_it_to_first()
  else:
    hosts.connect()
  startup.keep_compiled(recipe.compilation_cache, where if hosts.count() > 1 else '')
  with watch.guard(recipe.hang_seconds):
    with startup.one_line(ValueError, flag='--workdir'), storage.staged(where, '--workdir', hosts.first()) as workdir:
      with startup.one_line(
        ValueError, FloatingPointError, SandboxUnavailable, flag='--workdir', kept=lambda: kept(workdir, recipe.stages)
      ):
        if REHEARSE.value:
          told = rehearsal.rehearse(config, workdir, run)
          print(storage.named(f'{room(config)}\n\n{told}'))
        else:
          run(config, workdir, tuple(STAGES.value))


def room(config: dict) -> str:
  """What the recipe itself takes of a disk, as a table."""
  recipe, options = bind(config_lib.plain(config))
  try:
    return space.table(space.of_recipe(recipe, options, shapes.base(recipe).config))
  except ValueError as error:
    return f'What the recipe takes of a disk is not known: {error}'


def check_early(recipe: config_lib.Recipe, options: dict) -> None:
  """What a later stage would trip over after hours: files, models, the verifier's module. Brings what is elsewhere.

  Raises:
    ValueError: some of them are not there, a line each, with the stage.
  """
  errors = [
    f'stage {name!r}: {error}'
    for name, values in options.items()
    for error in inputs.missing_files(recipe.stages, values)
  ]
  for name, values in options.items():
    for field, source in models(values):
      path = source.partition('@')[0]
      if path not in (*recipe.stages, *NAMES) and not storage.exists(path) and not hub.is_name(source):
        hint = config_lib.nearest(path, recipe.stages)
        errors.append(
          f'{name}.{field}: {source!r} is neither a stage of this recipe{hint} '
          'nor a file or directory of a model on this machine, nor a name of the Hub (OWNER/NAME)'
        )
  if recipe.base != 'scratch' and not storage.exists(recipe.base) and not hub.is_name(recipe.base):
    errors.append(
      f'config.base={recipe.base!r}: there is no such file or directory. It is the path of a Hugging Face '
      'directory, a GGUF file or one of our checkpoints, or a name of the Hub (OWNER/NAME, OWNER/NAME@REVISION)'
    )
  if not errors:
    named = [(f'{name}.{field}', source) for name, values in options.items() for field, source in models(values)]
    elsewhere.of_recipe(recipe, options, named)
  config_lib.refuse(errors + template_misfits(recipe, options) + recipe_lib.no_verifier(recipe))


def template_misfits(recipe: config_lib.Recipe, options: dict) -> list[str]:
  """Lines about models that these stages take from elsewhere and that config.chat_template and its kwargs do not
  fit."""
  paths = {
    recipe.base if source == 'base' else source if hub.is_name(source) else source.partition('@')[0]
    for values in options.values()
    for _, source in models(values)
  } - {*recipe.stages, *NAMES}
  errors = []
  for path in sorted(path for path in paths if storage.exists(path) or hub.commit(path)):
    try:
      asking(storage.path(path), recipe.chat_template, recipe.chat_template_kwargs)
    except ValueError as error:
      errors.append(f'config.{error}' if str(error).startswith('chat_template') else str(error))
  return errors


def pinned(recipe: config_lib.Recipe) -> dict:
  """What of a config's top level must not change when a run goes on: of the template's file the contents."""
  named = {name: value for name, value in recipe._asdict().items() if name not in OF_A_START}
  asked = named.pop('chat_template'), named.pop('chat_template_kwargs')
  named = {name: value for name, value in named.items() if (name, value) not in ADDED}
  return named | chat_template.identity(*asked)


def read_data(stage: Stage, options: dict, left: list[str]) -> None:
  """Reads and measures every file of the stages that are left, before the first of them runs; see programs.reading.

  Raises:
    ValueError: wrong rows, prompts that are too long.
  """
  found = reading.parts(stage.recipe, options, left)
  tokenizers = {root: tokenizer_of(stage, root) for root in dict.fromkeys(part.root for part in found)}
  hosts.agreed(lambda: reading.check(stage.workdir, found, tokenizers), 'reading the data')


def begun(workdir: pathlib.Path, stages: tuple) -> list[str]:
  """The stages that have written something that their config decides."""
  early = ('config.json', 'timeline.jsonl', 'asked.json')
  files = lambda name: any(p.is_file() and p.name not in early for p in (workdir / name).rglob('*'))
  return [name for name in stages if files(name) or checkpoint.steps(workdir / name / 'checkpoints')]


def forget_unstarted(workdir: pathlib.Path, stages: tuple) -> None:
  """Removes what a start left that failed before a stage wrote anything: its config may then be corrected."""
  left = begun(workdir, stages)
  for name in set(stages) - set(left):
    storage.remove(workdir / name)
  if not left:
    for name in ('config.json', 'tokenizer.model', origins.NAME):
      storage.remove(workdir / name)


def prepare(config: dict, recipe: config_lib.Recipe, workdir: pathlib.Path, only: tuple[str, ...]) -> None:
  """Compares the config with that of an earlier start, and keeps it in the workdir."""
  disk.check(workdir)
  forget_unstarted(workdir, recipe.stages)
  config_lib.check_unchanged(workdir / 'config.json', pinned(recipe), 'this workdir')
  for name in only or recipe.stages:
    if (workdir / name).is_dir():
      disk.check(workdir / name)
      config_lib.check_unchanged(workdir / name / 'config.json', config[name], f'stage {name!r}')
  origins.write(workdir)


def run(config: dict, workdir: pathlib.Path, only: tuple[str, ...] = ()) -> None:
  """Runs the stages that are not done, in order, and writes `workdir/report.html` after each."""
  config = config_lib.plain(config)
  recipe, options = bind(config, only)
  origins.take(hosts.agreed(lambda: origins.read(workdir) if begun(workdir, recipe.stages) else {}))
  check_early(recipe, {name: options[name] for name in only or recipe.stages if not finished(workdir, name)})
  # The verifiers are started before JAX touches a device: they are fresh processes without it.
  with opened_pool(recipe) as pool:
    pool.check()
    mesh = sharding.make_mesh(**recipe.mesh)
    check_mesh({name: options[name] for name in only or recipe.stages}, mesh)
    hosts.agreed(lambda: prepare(config, recipe, workdir, only))
    disk.check(workdir)  # the other hosts write their parts of checkpoints
    left = [name for name in recipe.stages if (not only or name in only) and finished(workdir, name) is None]
    read_data(Stage('', workdir, workdir, config, recipe, mesh, pool), options, hosts.agreed(lambda: left))
    with jax.set_mesh(mesh):
      for name in (n for n in recipe.stages if not only or n in only):
        run_stage(Stage(name, workdir / name, workdir, config, recipe, mesh, pool), options[name])
  hosts.say(storage.named(f'report: {workdir / "report.html"}'))


def opened_pool(recipe: config_lib.Recipe) -> Pool | rewards_lib.Rewards:
  """The verifiers of a recipe."""
  common = rewards_lib.of_pool(recipe.verify) | dict(packages=recipe.sandbox.packages, correct_at=recipe.correct_at)
  return rewards_lib.Rewards(recipe.rewards, **common) if recipe.rewards else Pool(verifier=recipe.verifier, **common)


def run_stage(stage: Stage, options) -> None:
  """Runs a stage that is not done, and writes the report."""
  if hosts.agreed(lambda: finished(stage.workdir, stage.name) is not None):
    LOG.info('stage %s: done before', stage.name)
    return
  start, config = time.time(), stage.config[stage.name]
  hosts.agreed(lambda: config_lib.check_unchanged(stage.directory / 'config.json', config, f'stage {stage.name!r}'))
  timeline.record(stage.directory, 'start')
  PROGRAMS[config['program']].run(stage, options)
  timeline.record(stage.directory, 'end')
  LOG.info('stage %s: done in %.0f s', stage.name, time.time() - start)
  hosts.agreed(lambda: report.write(stage.workdir, stage.config), 'the report')


if __name__ == '__main__':
  flags.mark_flags_as_required(['config', 'workdir'])
  app.run(main, flags_parser=config_lib.parse_flags)
