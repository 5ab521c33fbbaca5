"""What the README says of the study is what its numbers say."""

import importlib.util
import json
import pathlib

from vibethinker_jax import config as config_lib
from vibethinker_jax.eval import trials
from vibethinker_jax.eval.pages import study as page
from vibethinker_jax.programs import arms

ROOT = pathlib.Path(__file__).parents[3]


def read(kept: dict):
  """(study, result) of the numbers that are kept, with today's claims."""
  spec = importlib.util.spec_from_file_location('study', ROOT / 'configs' / 'study.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  study, _ = arms.bind(config_lib.plain(module.get_config()))
  found = {arm: {int(seed): m for seed, m in kept['arms'].get(arm, {}).items()} for arm in study.arms}
  ran = {arm: kept['arms'][arm] for arm in study.arms if arm in kept['arms']}
  return study, {'arms': ran, 'claims': trials.judged(study, found), 'failed': kept['failed']}


def test_the_readme_has_the_table_of_the_study():
  study, result = read(json.loads((ROOT / '.github' / 'study.json').read_text()))
  assert page.table(study, result) in (ROOT / 'README.md').read_text()


def test_claims_without_two_seeds_are_named_together():
  study, result = read({'arms': {'paper': {'0': {'rl.pass@1': 0.5}}}, 'failed': {'seed 0, arm dapo': 'no group'}})
  lines = page.table(study, result).splitlines()
  assert lines[0].startswith(f'Not two seeds yet of {len(study.claims)} claims: Fused specialists have')
  assert lines[1:] == [
    'rl: Pass@1, percent [95% over seeds]', f'  {"paper":<24}50.0', 'seed 0, arm dapo ended: no group'
  ]  # fmt: skip
