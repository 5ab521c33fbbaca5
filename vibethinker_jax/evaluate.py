"""Scores a checkpoint on problems: Pass@1 with its interval, Pass@K, and every response kept.

  python -m vibethinker_jax.evaluate --checkpoint=runs/tiny/rl_code --output=runs/eval
  python -m vibethinker_jax.evaluate --checkpoint=runs/tiny/rl_code --data=mine.jsonl --output=runs/mine
"""

from vibethinker_jax import startup

if __name__ == '__main__':
  startup.prepare()

import json
import os
import pathlib

from absl import app, flags
import jax
import numpy as np

from vibethinker_jax import config as config_lib, sharding
from vibethinker_jax.data import sources, synthetic
from vibethinker_jax.eval import benchmarks, passk
from vibethinker_jax.programs import stage
from vibethinker_jax.sampler import engine
from vibethinker_jax.verify.pool import Pool
from vibethinker_jax.verify.sandbox.client import SandboxUnavailable

CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Stage directory of a workdir, one of our checkpoints, a '
                                 'Hugging Face directory, or a GGUF file.')
DATA = flags.DEFINE_string(
    'data', 'synthetic', 'Files of problems with answers or tests, paths and globs with commas between (JSON lines or '
    "arrays, .gz too, parquet, ArrayRecord), or 'synthetic': held-out synthetic problems.")
PROMPT_FIELD = flags.DEFINE_string(
    'prompt_field', '', "Field of the prompt in --data, or a template: '{problem} Put the answer in \\boxed{{}}.' "
    'Default: found (prompt, problem, question).')
ANSWER_FIELD = flags.DEFINE_string(
    'answer_field', '', 'Field of the answer in --data. Default: found (answer, reward_model.ground_truth).')
DOMAIN_FIELD = flags.DEFINE_string(
    'domain_field', '', "Field by which --data is divided in the table. Default: 'domain', or the file's name.")
DOMAINS = flags.DEFINE_list('domains', list(synthetic.DOMAINS), 'Domains of the synthetic problems.')
PROBLEMS = flags.DEFINE_integer('problems', 100, 'Problems per domain of the synthetic problems.', lower_bound=1)
TEMPLATES = flags.DEFINE_list('templates', [], 'Only these templates of the synthetic problems; default: all.')
LEVELS = flags.DEFINE_list('levels', ['1'], 'Difficulty levels of the synthetic problems: 1, 2, 3.')
SAMPLES = flags.DEFINE_integer('samples', 4, 'Responses per problem.', lower_bound=1)
TEMPERATURE = flags.DEFINE_float('temperature', 1.0, '0 is greedy.', lower_bound=0.0)
TOP_P = flags.DEFINE_float('top_p', 0.95, 'Nucleus; 1 keeps all tokens.', lower_bound=0.0, upper_bound=1.0)
MAX_TOKENS = flags.DEFINE_integer('max_tokens', 256, 'Response tokens at most.', lower_bound=1)
SEED = flags.DEFINE_integer('seed', 0, 'Of the draws, and of the synthetic problems.')
OUTPUT = flags.DEFINE_string('output', None, 'Directory for result.json and responses.jsonl.')


def main(argv) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unknown arguments {argv[1:]}')
  startup.plain_logs()
  try:
    if DATA.value == 'synthetic':
      levels = tuple(int(level) for level in LEVELS.value)
      rows = [row for domain in DOMAINS.value
              for row in synthetic.problems(domain, 'evaluate', PROBLEMS.value, SEED.value, levels,
                                             tuple(TEMPLATES.value))]
    else:
      rows = sources.read_problems(sources.DataOptions(
          DATA.value, prompt=PROMPT_FIELD.value, answer=ANSWER_FIELD.value, domain=DOMAIN_FIELD.value))
    run(rows, pathlib.Path(OUTPUT.value))
  except (ValueError, SandboxUnavailable) as error:
    raise SystemExit(f'error: {error}') from None


def run(rows: list[dict], output: pathlib.Path) -> None:
  """Samples, verifies, writes both files and prints the table."""
  with Pool(workers=os.cpu_count() or 2) as pool:
    mesh = sharding.make_mesh()
    with jax.set_mesh(mesh):
      model = stage.load(pathlib.Path(CHECKPOINT.value), mesh)
      scored = benchmarks.sample_and_verify(
          model.config, model.params, model.tokenizer, rows, SAMPLES.value,
          engine.Options(MAX_TOKENS.value, TEMPERATURE.value, TOP_P.value), key=jax.random.key(SEED.value), mesh=mesh,
          pool=pool)
  ks = [k for k in (1, 2, 4, 8, 16, 32, 64) if k <= SAMPLES.value]
  names = np.array([row['domain'] for row in rows])
  scores = {name: passk.summary(scored.correct_PG[names == name], ks) for name in dict.fromkeys(names.tolist())}
  scores['all'] = passk.summary(scored.correct_PG, ks)
  lengths, stopped = scored.responses.lengths_PG, scored.responses.stopped_PG
  output.mkdir(parents=True, exist_ok=True)
  with (output / 'responses.jsonl').open('w') as file:
    for p, row in enumerate(rows):
      for g, text in enumerate(scored.texts_PG[p]):
        file.write(json.dumps({
            'id': row['id'], 'sample': g, 'response': text, 'correct': bool(scored.correct_PG[p, g]),
            'reason': scored.reasons_PG[p][g], 'tokens': int(lengths[p, g]), 'cut_off': not stopped[p, g]}) + '\n')
  settings = {name: flags.FLAGS[name].value for name in (
      'checkpoint', 'data', 'prompt_field', 'answer_field', 'domain_field', 'domains', 'problems', 'levels',
      'templates', 'samples', 'temperature', 'top_p', 'max_tokens', 'seed')}
  config_lib.write_json(output / 'result.json', {
      'scores': scores, 'settings': settings, 'jax': jax.__version__, 'cut_off': float(1 - stopped.mean()),
      'mean_tokens': float(lengths.mean()), 'invalid': int((~scored.valid_PG).sum()),
      'seconds': round(sum(scored.seconds[:2]), 1)})
  print(f'{"set":<14}{"problems":>9}{"Pass@1":>8}  {"95% interval":<16}' + ''.join(f'{f"Pass@{k}":>9}' for k in ks[1:]))
  for name, score in scores.items():
    low, high = score['ci95']
    print(f'{name:<14}{score["problems"]:>9}{100 * score["pass@1"]:>8.1f}  [{100 * low:.1f}, {100 * high:.1f}]'.ljust(49)
          + ''.join(f'{100 * score["pass@k"][str(k)]:>9.1f}' for k in ks[1:]))
  print(f'{lengths.mean():.0f} tokens a response, {100 * (1 - stopped.mean()):.1f}% cut off at {MAX_TOKENS.value}; '
        f'{output}/result.json, responses.jsonl')


if __name__ == '__main__':
  flags.mark_flags_as_required(['checkpoint', 'output'])
  app.run(main)
