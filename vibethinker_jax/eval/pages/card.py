"""The model card of an upload: what a run has kept of its recipe, its data and its figures, as Markdown.

In front of it stands what the Hub reads: base model, data sets, and the figures once more as its model-index.
"""

import json
import pathlib
import re

from vibethinker_jax.data.files import rows as rows_lib
from vibethinker_jax.eval.pages import report
from vibethinker_jax.runtime import hub, origins, storage

# Fields of a stage that a reader asks for first; all stand in its config.
SHOWN = ('steps', 'batch_size', 'length', 'prompts', 'group', 'learning_rate', 'samples', 'problems', 'init_from')


def write(name: str, source: str, config: dict) -> str:
  """The card.

  Args:
    name: OWNER/NAME on the Hub. source: of convert: a stage of a run, or any other model.
    config: the model's config.json.
  """
  workdir, stage = run_of(source)
  front = {'library_name': 'transformers', 'pipeline_tag': 'text-generation', 'tags': ['vibethinker_jax']}
  size = f'{config["num_hidden_layers"]} layers, width {config["hidden_size"]}, vocabulary {config["vocab_size"]}'
  lines = [f'# {name.partition("/")[2]}', '', f'A `{config["model_type"]}` model ({size}).']
  if workdir is None:
    if hub.commit(source):
      front['base_model'] = source.partition('@')[0]
    where = f' (commit {hub.commit(source)})' if hub.commit(source) else ''
    lines += ['', f'Converted by vibethinker_jax from `{pathlib.Path(source).name}`{where}, not trained further.']
    return _front(name, front, []) + '\n'.join(lines) + '\n'
  recipe = json.loads((workdir / 'config.json').read_text())
  names = lineage(workdir, stage, [])
  others = sorted(path.parent.name for path in workdir.glob('*/result.json') if _has(workdir, path.parent.name))
  stages = {x: json.loads((workdir / x / 'config.json').read_text()) for x in dict.fromkeys([*names, *others])}
  run, taken = report.read_run(workdir, recipe | stages | {'stages': tuple(stages)}), origins.read(workdir)
  base = str(recipe.get('base', 'scratch'))
  if base in taken.get('models', {}):
    front |= {'base_model': base.partition('@')[0], 'base_model_relation': 'finetune'}
  sets = sorted({x for entry in taken.get('data', {}) if (x := _repository(entry))})
  front |= {'datasets': sets} if sets else {}
  lines += ['', f'Trained with vibethinker_jax, the VibeThinker recipe in JAX (stage `{stage}`), {_from(base, taken)}.']
  lines += ['', '## Recipe', '', '| stage | program | settings | hours |', '| --- | --- | --- | --- |']
  lines += [_stage(s) for s in run if s.name in names]
  lines += ['', '## Data', '', *(line for s in run if s.name in names for line in _data(s, taken, recipe))]
  evaluated = [s for s in run if stage in s.result.get('models', ()) and _last(source)]
  for s in evaluated:
    lines += ['', f'## Figures ({s.name})', '', *figures(s, run, stage)]
  found = [x for s in evaluated for x in index(s, stage)]
  return _front(name, front, found) + '\n'.join(lines) + '\n'


def run_of(source: str) -> tuple[pathlib.Path | None, str]:
  """(workdir, stage) of a model that is one of a run, (None, '') of any other."""
  path = storage.path(source)
  path = path if storage.remote(path) else path.absolute()
  for stage in (path, path.parent, path.parent.parent):  # stage, stage/checkpoints, stage/checkpoints/step
    if _has(stage.parent, stage.name) and (stage.parent / 'config.json').is_file():
      return stage.parent, stage.name
  return None, ''


def _has(workdir: pathlib.Path, stage: str) -> bool:
  """Whether a stage of that name was begun there; the config.json of a model has no program."""
  file = workdir / stage / 'config.json'
  return file.is_file() and 'program' in json.loads(file.read_text())


def _last(source: str) -> bool:
  """Whether a model of a run is the one that its evaluations are of: the last checkpoint of its stage."""
  path = storage.path(source)
  return not path.name.isdigit() or int(path.name) == max(
    int(p.name) for p in path.parent.iterdir() if p.name.isdigit()
  )


def lineage(workdir: pathlib.Path, stage: str, found: list[str]) -> list[str]:
  """The stages that took part in a stage's model, each after those that it needs; `found` are those known so far."""
  if stage in found or not _has(workdir, stage):  # 'base', or a model or file from elsewhere
    return found
  options = json.loads((workdir / stage / 'config.json').read_text())
  teachers = list((options.get('teachers') or {}).values())
  needed = [options.get('init_from') or '', options.get('probe') or '', *(m for x in teachers for m in x['models'])]
  needed += [entry for x in (options, *teachers) for entry in rows_lib.entries((x.get('data') or {}).get('files', ''))]
  for name in needed:
    if re.fullmatch(r'[^/@]+(@\d+)?', name):
      found = lineage(workdir, name.partition('@')[0], found)
  return [*found, stage]


def _from(base: str, taken: dict) -> str:
  if base == 'scratch':
    return 'from random weights'
  commit = taken.get('models', {}).get(base)
  return f'from `{base if commit else pathlib.Path(base).name}`' + (f' at commit {commit}' if commit else '')


def _repository(entry: str) -> str:
  """'OWNER/NAME' of an entry hf://datasets/OWNER/NAME/..., else ''."""
  parts = entry.removeprefix('hf://datasets/').split('/')
  return f'{parts[0]}/{parts[1].partition("@")[0]}' if entry.startswith('hf://datasets/') and len(parts) > 1 else ''


def _stage(s: report.Stage) -> str:
  settings = ', '.join(f'{name} {s.options[name]}' for name in SHOWN if s.options.get(name) not in (None, '', [], 0))
  return f'| `{s.name}` | {s.program} | {settings} | {s.seconds() / 3600:.2f} |'


def _data(s: report.Stage, taken: dict, recipe: dict) -> list[str]:
  """A line for what a stage has read."""
  files = (s.options.get('data') or {}).get('files', '')
  if not files:
    used = s.program in ('sft', 'rl', 'probe') and not s.options.get('data', {}).get('files')
    domains = s.options.get('domains') or recipe.get('domains') or ()
    return [f'* `{s.name}`: synthetic problems ({", ".join(domains)})'] if used else []
  found = []
  for entry in (x.strip() for x in files.split(',')):
    digests = [f'sha256 {x["sha256"][:16]}' for x in taken.get('data', {}).get(entry, ())]
    found.append(
      f'`{entry if "://" in entry else pathlib.Path(entry).name}`' + (f' ({", ".join(digests)})' if digests else '')
    )
  return [f'* `{s.name}`: {", ".join(found)}']


def figures(s: report.Stage, run: list[report.Stage], stage: str) -> list[str]:
  """The table of an evaluate stage: Pass@1 in percent with 95% intervals, the model of the card in bold."""
  models = s.result['models']
  singles, totals = report.domains_of(models)
  ks = _most(models)
  columns = [(d, 0) for d in totals + singles] + [(d, ks) for d in totals if ks > 1]
  cell = lambda scores, d, k: report.percent(report.score(scores, d, k)) + report.interval(scores, d, k)
  title = lambda d, k: f'{d}, Pass@{k or 1}'
  problems = max(x['problems'] for scores in models.values() for x in scores.values())
  samples = max(x['samples'] for scores in models.values() for x in scores.values())
  lines = [
    f'Percent [95% bootstrap interval over problems]; up to {problems} held-out problems, {samples} responses to each.',
    '',
  ]
  lines += [f'| model | {" | ".join(title(*c) for c in columns)} |', f'| --- |{" --- |" * len(columns)}']
  for model, scores in models.items():
    mark = '**' if model == stage else ''
    lines.append(f'| {mark}{report.label(model, run)}{mark} | {" | ".join(cell(scores, *c) for c in columns)} |')
  return lines


def index(s: report.Stage, stage: str) -> list[dict]:
  """The figures of a model in an evaluate stage, in percent, each as the fields of huggingface_hub's EvalResult."""
  scores, found = s.result['models'][stage], []
  singles, totals = report.domains_of(s.result['models'])
  for domain, k in ((d, k) for d in totals + singles for k in (0, _most({stage: scores}))):
    value, interval = report.score(scores, domain, k), report.bounds(scores, domain, k)
    if value is None or k == 1:
      continue
    asked = {name: scores[domain][name] for name in ('problems', 'samples')}
    if None not in interval:
      asked['ci95'] = [round(100 * x, 2) for x in interval]
    found.append(
      {
        'task_type': 'text-generation',
        'dataset_name': domain,
        'dataset_type': re.sub(r'[^\w.-]+', '-', domain),
        'metric_type': f'pass@{k or 1}',
        'metric_name': f'Pass@{k or 1}, percent',
        'metric_value': round(100 * value, 2),
        'metric_args': asked,
      }
    )
  return found


def _most(models: dict) -> int:
  """The largest k of their Pass@k."""
  return max((int(k) for scores in models.values() for d in scores.values() for k in d['pass@k']), default=1)


def _front(name: str, values: dict, figures_of: list[dict]) -> str:
  """The block that the Hub reads."""
  import huggingface_hub

  results = [huggingface_hub.EvalResult(**x) for x in figures_of]
  named = {'model_name': name.partition('/')[2], 'eval_results': results} if results else {}
  return f'---\n{huggingface_hub.ModelCardData(**values, **named).to_yaml()}\n---\n\n'
