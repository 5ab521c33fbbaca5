"""Runs variants of a recipe over several seeds, and says what they show: a study.

  python -m vibethinker_jax.study --config=configs/study.py --workdir=runs/study
  python -m vibethinker_jax.study --config=configs/study.py --workdir=runs/study --seeds=0,1   # another process: 2,3

An arm is the recipe with some fields changed; stages that arms have in common are run once. WORKDIR/seed_N is the
workdir of one recipe with the stages of all arms, as `main` makes it: what was stopped goes on with the same command,
arms and seeds that are added later run alone. After each arm WORKDIR gets report.html and result.json of all that is
there.
"""

from vibethinker_jax.runtime import startup

if __name__ == '__main__':
  startup.prepare()

import functools
import logging
import pathlib

from absl import app, flags

from vibethinker_jax import config as config_lib
from vibethinker_jax.eval import trials
from vibethinker_jax.eval.pages import study as page
from vibethinker_jax.main import CONFIG, WORKDIR, run as run_recipe
from vibethinker_jax.programs import arms as arms_lib
from vibethinker_jax.programs.position import Fruitless
from vibethinker_jax.runtime import given, hosts, storage, watch
from vibethinker_jax.verify.code.sandbox.client import SandboxUnavailable

LOG = logging.getLogger('vibethinker_jax')
SEEDS = flags.DEFINE_list(
  'seeds',
  [],
  "Only these of the study's seeds: several processes on one disk may share a study so, each with seeds of its own.",
)
ARMS = flags.DEFINE_list('arms', [], 'Only these arms. Default: all.')
flags.declare_key_flag('config')  # of main: --help shows them here, too
flags.declare_key_flag('workdir')
READ = {'here': given.words('config workdir seeds arms')}
MEANT = {
  'stages': 'arms are run whole: --arms=A,B chooses some',
  'rehearse': 'a study has no rehearsal: try --config.seeds with two, and few steps',
}


def main(argv) -> None:
  given.check(argv, 'here', READ, MEANT)
  startup.plain_logs()
  try:
    study, joined = arms_lib.bind(config_lib.plain(CONFIG.value.to_dict()))
    seeds, chosen = selected('seeds', SEEDS.value, study.seeds), selected('arms', ARMS.value, tuple(study.arms))
    storage.checked(WORKDIR.value, '--workdir')
    storage.checked(joined.config.get('compilation_cache', 'auto'), 'config.recipe.compilation_cache')
  except ValueError as error:
    raise SystemExit(f'error: {error}') from None
  hosts.connect()
  startup.keep_compiled(joined.config.get('compilation_cache', 'auto'), WORKDIR.value if hosts.count() > 1 else '')
  with watch.guard(joined.config.get('hang_seconds', 0.0)):
    with (
      startup.one_line(ValueError, FloatingPointError, SandboxUnavailable, flag='--workdir'),
      storage.staged(WORKDIR.value, '--workdir', hosts.first()) as workdir,
    ):
      run(study, joined, workdir, seeds, chosen)


def selected(flag: str, given_: list[str], known: tuple) -> tuple:
  """Those of `known` that a flag names; all without it.

  Raises:
    ValueError: it names another.
  """
  texts = {str(x): x for x in known}
  for text in given_:
    if text not in texts:
      raise ValueError(f'--{flag}: {text!r} is none of {", ".join(texts)}{config_lib.nearest(text, texts)}')
  return tuple(x for text, x in texts.items() if not given_ or text in given_)


def run(study: arms_lib.Study, joined: arms_lib.Union, workdir: pathlib.Path, seeds: tuple, chosen: tuple) -> dict:
  """Runs what is missing of these arms with these seeds, and returns the result of all that is there."""
  hosts.agreed(lambda: same_stages(workdir / 'stages.json', joined))
  for seed in seeds:
    for arm in chosen:
      if study.arms[arm].seeds and seed not in study.seeds[: study.arms[arm].seeds]:
        continue
      directory = workdir / f'seed_{seed}'
      if hosts.agreed(lambda seed=seed, arm=arm: hosts.count() > 1 and f'seed {seed}, arm {arm}' in failed(workdir)):
        continue
      if hosts.agreed(functools.partial(trials.of_arm, directory, joined.names[arm], study.reach)) is not None:
        continue
      LOG.info('seed %d, arm %s', seed, arm)
      failure = workdir / 'failed' / f'seed_{seed}-{arm}.json'
      try:
        run_recipe(joined.config | {'seed': seed}, directory, tuple(arms_lib.stages_of(joined, arm)))
      except (Fruitless, FloatingPointError) as error:  # an arm that does not work is a result, too
        if hosts.count() > 1:  # the others may wait in another place: the next start goes on with the next arm
          hosts.first() and config_lib.write_json(failure, str(error))
          raise
        LOG.warning('seed %d, arm %s ended: %s', seed, arm, error)
        config_lib.write_json(failure, str(error))
      else:
        hosts.agreed(functools.partial(storage.remove, failure))
      hosts.agreed(lambda: write(study, joined, workdir), 'the report')
  result = hosts.agreed(lambda: write(study, joined, workdir), 'the report')
  hosts.say(page.table(study, result))
  hosts.say(storage.named(f'report: {workdir / "report.html"}'))
  return result


def same_stages(path: pathlib.Path, joined: arms_lib.Union) -> None:
  """Refuses a study whose stages have come to mean something else after a seed has begun them; new ones may be added.

  Raises:
    ValueError: an arm was changed, or put before others.
  """
  mine = {name: {'place': joined.config['places'][name]} | joined.config[name] for name in joined.config['stages']}
  mine = {name: config_lib.plain(values) for name, values in mine.items()}
  known = config_lib.read_json(path) or {}
  changed = [
    line
    for name in mine
    if name in known and any(path.parent.glob(f'seed_*/{name}'))
    for line in config_lib.differences(known[name], config_lib.as_json(mine[name]), name)
  ]
  if changed:
    raise ValueError(
      f'this study was started with other stages ({path}):\n  ' + '\n  '.join(changed) + '\nGive another --workdir, or '
      'add new arms after the old ones instead of changing them'
    )
  config_lib.write_json(path, known | mine)


def failed(workdir: pathlib.Path) -> dict[str, str]:
  """{'seed 3, arm x': why} of the arms that came to nothing, in whatever process."""
  files = sorted((workdir / 'failed').glob('*.json'))
  return {file.stem.replace('seed_', 'seed ').replace('-', ', arm '): config_lib.read_json(file) for file in files}


def write(study: arms_lib.Study, joined: arms_lib.Union, workdir: pathlib.Path) -> dict:
  """result.json and report.html from what the seeds' workdirs hold."""
  found = trials.read(workdir, study, joined.names)
  result = {
    'seeds': list(study.seeds),
    'arms': {arm: {str(seed): metrics for seed, metrics in of.items()} for arm, of in found.items()},
    'claims': trials.judged(study, found),
    'failed': failed(workdir),
  }
  config_lib.write_json(workdir / 'result.json', result)
  page.write(workdir, study, joined, result)
  return result


if __name__ == '__main__':
  flags.mark_flags_as_required(['config', 'workdir'])
  app.run(main, flags_parser=config_lib.parse_flags)
