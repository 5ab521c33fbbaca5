"""Compiles every program of a recipe for a TPU slice that is not there: does it fit, how fast would it be, what would
it cost?

  python -m vibethinker_jax.plan --config=configs/vibethinker_1p5b.py --topology=v5e:4x4 --dollars_per_chip_hour=1.2

Of a study (configs/study_1p5b.py) the stages of all arms, each once, and the sum for its seeds. Needs libtpu
(pip install -e '.[plan]'), no TPU. Times are estimates from the compiler's schedule, not measurements.
"""

from vibethinker_jax.runtime import startup

if __name__ == '__main__':
  startup.prepare()

import json
import pathlib
import sys

from absl import app, flags
from ml_collections import config_flags

from vibethinker_jax import config as config_lib
from vibethinker_jax.aot import planning
from vibethinker_jax.aot.estimates import budget, table
from vibethinker_jax.programs import arms
from vibethinker_jax.runtime import disk, given, storage

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Config file of a recipe or a study; fields can be set: --config.sft.micro_batches=4'
)
TOPOLOGY = flags.DEFINE_string(
  'topology', None, 'TPU slice: v4, v5e, v5p, v6e or tpu7x with its shape: v5e:4x4, v5p:2x2x2.'
)
STAGES = flags.DEFINE_list('stages', [], 'Only these stages of the recipe. Default: all.')
SEARCH = flags.DEFINE_bool(
  'search',
  False,
  'Also try other remat policies, batches, meshes and cache sizes, and rank them: a dozen programs a stage.',
)
EVERY_LENGTH = flags.DEFINE_bool(
  'every_length',
  False,
  'Also compile the RL updates of shorter rows. Without it their times follow from those of the '
  'longest rows: the same products, an attention kernel as much shorter.',
)
JSON = flags.DEFINE_bool('json', False, 'Print everything as JSON instead of the tables.')
DOLLARS = flags.DEFINE_float(
  'dollars_per_chip_hour', 0.0, 'Price of a chip, for the cost; 0 prints none.', lower_bound=0.0
)
MEDIAN = flags.DEFINE_integer('median_tokens', 6000, 'Median length of a response if it had no limit.', lower_bound=1)
ROUNDS = flags.DEFINE_float('rounds', 1.5, 'Rollout batches per RL step, on average.', lower_bound=1.0)
PROBLEMS = flags.DEFINE_integer('problems', 5000, 'Size of problem sets that are not on this machine.', lower_bound=1)
CACHE = flags.DEFINE_string(
  'cache', '~/.cache/vibethinker_jax/plan', "Directory of what was compiled before; '' keeps nothing."
)
_ALWAYS = 'config topology stages search every_length json dollars_per_chip_hour cache'
NO_SAMPLES, NO_RL, RL = 'where no stage samples', 'where no stage is of the program rl', 'with stages of the program rl'
READ = {
  NO_SAMPLES: given.words(_ALWAYS),
  NO_RL: given.words(_ALWAYS, 'median_tokens problems'),
  RL: given.words(_ALWAYS, 'median_tokens problems rounds'),
}


def mode() -> str:
  """What the stages do: a key of READ."""
  config = CONFIG.value.to_dict()
  if 'recipe' in config:
    return RL
  stages = [config.get(name, {}) for name in STAGES.value or config.get('stages', ())]
  programs = {stage.get('program') for stage in stages if isinstance(stage, dict)}
  return RL if 'rl' in programs else NO_RL if programs - {'sft', 'merge'} else NO_SAMPLES


startup.finite('dollars_per_chip_hour', 'rounds')


def main(argv) -> None:
  given.check(argv, mode(), READ, {}, empty=('cache',))
  startup.leave_it_to_first()
  startup.plain_logs()
  try:
    config, seeds = config_lib.plain(CONFIG.value.to_dict()), {}
    with startup.one_line(ValueError, flag='--cache'):
      cache = str(pathlib.Path(storage.local(CACHE.value, '--cache')).expanduser()) if CACHE.value else ''
      if cache:
        disk.check(pathlib.Path(cache))
      if 'recipe' in config:
        study, joined = arms.bind(config)
        config, seeds = joined.config | {'seed': 0}, arms.seeds_of(study, joined)
      plan = planning.run(
        config,
        TOPOLOGY.value,
        tuple(STAGES.value),
        cache,
        budget.Assumptions(DOLLARS.value, MEDIAN.value, PROBLEMS.value, ROUNDS.value),
        SEARCH.value,
        EVERY_LENGTH.value,
      )
  except KeyboardInterrupt:
    raise SystemExit(130) from None
  plan['budget']['seeds'] = seeds
  print(json.dumps(plan, indent=1) if JSON.value else table.plan(plan))
  sys.exit(0 if plan['fits'] else 1)


if __name__ == '__main__':
  flags.mark_flags_as_required(['config', 'topology'])
  app.run(main, flags_parser=config_lib.parse_flags)
