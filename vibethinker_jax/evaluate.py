r"""Scores models on benchmarks by the papers' protocol, or stored responses without a model; every response is kept.

  python -m vibethinker_jax.evaluate --checkpoint=WeiboAI/VibeThinker-1.5B --preset=aime24,aime25 --output=runs/eval
  python -m vibethinker_jax.evaluate --checkpoint=my-model --preset=aime24,math500 \\
      --data=aime24.parquet,math500.jsonl --output=runs/eval
  python -m vibethinker_jax.evaluate --checkpoint=runs/tiny/merge,runs/tiny/rl_code --output=runs/eval
  python -m vibethinker_jax.evaluate --responses=theirs.jsonl --preset=math500 --data=math500.jsonl --output=runs/theirs
  python -m vibethinker_jax.evaluate --checkpoint=runs/mine/rl --data=mine.jsonl --verifier=mine:judge --output=runs/own
  python -m vibethinker_jax.evaluate --compare=runs/eval,runs/theirs --output=runs/compared

OUTPUT gets result.json (the numbers: a function of the settings alone), responses.jsonl (a line for every response,
with its verdict), timing.json, and report.html, one page with everything. A stopped evaluation goes on with the same
command; a finished one takes more --samples.
"""

from vibethinker_jax.runtime import startup

if __name__ == '__main__':
  startup.prepare()

import pathlib

from absl import app, flags

from vibethinker_jax import config as config_lib
from vibethinker_jax.data import overlap, presets, sources, turns
from vibethinker_jax.data.files import rows as rows_lib
from vibethinker_jax.data.tokens import chat_template, stops, tokenizer as tokenizer_lib
from vibethinker_jax.eval import command, compare, judge, scores, sets as sets_lib, stored, verifier as verifier_lib
from vibethinker_jax.eval.command import (
  ANSWER_FIELD,
  CHAT_KWARGS,
  CHAT_TEMPLATE,
  CHECKPOINT,
  COMPARE,
  CORRECT_AT,
  DATA,
  DOMAIN_FIELD,
  DOMAINS,
  LEVELS,
  LIMIT,
  MAX_TOKENS,
  MEANT,
  OUTPUT,
  PREFIX,
  PRESET,
  PROBLEMS,
  PROMPT_FIELD,
  READ,
  RESPONSE_FIELD,
  RESPONSES,
  SAMPLES,
  SEED,
  SLOTS,
  STOP,
  SYSTEM,
  TEMPLATES,
  TOKENIZER,
  TRAIN_FIELDS,
  TRAINED_ON,
  VERDICT_FIELD,
  VERIFIER,
  VERIFY,
  WORDING,
)
from vibethinker_jax.eval.journal import NAME, Journal, check_same, remember
from vibethinker_jax.eval.pages import page, terminal
from vibethinker_jax.runtime import disk, given, hub, origins, storage
from vibethinker_jax.sampler import defaults as generation
from vibethinker_jax.sampler.defaults import Drawn
from vibethinker_jax.verify import faults
from vibethinker_jax.verify.code.sandbox.client import SandboxUnavailable
from vibethinker_jax.verify.pool import Pool

flags.adopt_module_key_flags(command)  # --help shows them
REMEDY = (
  'Give another --output, or the old values; --responses=THAT/responses.jsonl scores the same responses with another '
  '--verifier'
)


def main(argv) -> None:
  given.check(argv, command.mode(), READ, MEANT, needs=command.NEEDS, repeats=('preset',))
  startup.plain_logs()
  if CHECKPOINT.value:
    from vibethinker_jax.runtime import hosts, watch  # with JAX: 2 s that stored responses do not need

    hosts.connect()
    startup.keep_compiled()
    with watch.guard():
      checked(hosts.first())
  else:
    startup.leave_it_to_first()
    checked()


def checked(first: bool = True) -> None:
  """`run`, with mistakes as one line. first: whether this host writes."""
  try:
    with startup.one_line(ValueError, flag='--output'), storage.staged(OUTPUT.value, '--output', first) as output:
      with startup.one_line(ValueError, SandboxUnavailable, flag='--output', kept=lambda: kept(output)):
        run(output)
  except KeyboardInterrupt:
    raise SystemExit(f'stopped; what was sampled is in {OUTPUT.value}, the same command goes on') from None


def kept(output: pathlib.Path) -> str:
  """What of an evaluation is safe on the disk, in words; '' if nothing is."""
  count = sum(file.read_bytes().count(b'\n') for file in output.rglob(NAME))
  return f'{count} response{"s" if count > 1 else ""} in {NAME}' if count and CHECKPOINT.value else ''


def run(output: pathlib.Path) -> None:
  """One of the four things that the examples above do."""
  if COMPARE.value:
    page.compared([storage.path(path) for path in COMPARE.value], output)
    return
  with verifier().open() as pool:
    pool.check()
    if RESPONSES.value:
      rescore(output, pool)
      return
    from vibethinker_jax.programs import elsewhere

    data, stop = DATA.value or ('' if PRESET.value else 'synthetic'), stops.read(STOP.value)
    files = [*sets_lib.named(data, PRESET.value), ('--trained_on', TRAINED_ON.value)]
    elsewhere.of_evaluation(output, CHECKPOINT.value, files)
    chosen = [s._replace(stop=stop) for s in read_sets(data)]
    disk.check(output)
    for path in CHECKPOINT.value:  # what does not fit the last of them is told before the first is sampled
      tokenizer = asking(path)
      sets_lib.by_model(chosen, tokenizer.files(), drawn_by_flags())
      stops.ids(tokenizer, stop)
    names = compare.labels(CHECKPOINT.value)
    directories = [output / name if len(names) > 1 else output for name in names]
    for path, directory in zip(CHECKPOINT.value, directories):
      sample(path, directory, chosen, pool)
  if len(directories) > 1:
    from vibethinker_jax.runtime import hosts

    hosts.agreed(lambda: page.compared(directories, output), 'the comparison')


def verifier() -> verifier_lib.Verifier:
  """The one that the flags name."""
  return verifier_lib.read(VERIFIER.value, CORRECT_AT.value, VERIFY.value)


def read_sets(data: str) -> list[sets_lib.Set]:
  """The sets of --data with their presets.

  Raises:
    ValueError: presets that do not fit the files, or bad files.
  """
  defaults = {'samples': 4, 'max_tokens': 256} | Drawn()._asdict()  # of a model that says nothing
  named = {name: flags.FLAGS[name].value for name in defaults}
  default = lambda name: -1 if PRESET.value else defaults[name]
  protocol = sets_lib.Protocol(**{name: default(name) if value is None else value for name, value in named.items()})
  options = sources.DataOptions(
    '',
    prompt=PROMPT_FIELD.value,
    answer=ANSWER_FIELD.value,
    domain=DOMAIN_FIELD.value,
    system=SYSTEM.value,
    prefix=turns.LINE_END.sub('\n', PREFIX.value),
    wording=WORDING.value,
  )
  if data == 'synthetic':
    return [
      sets_lib.synthetic_set(
        DOMAINS.value,
        PROBLEMS.value,
        SEED.value,
        tuple(map(int, LEVELS.value)),
        tuple(TEMPLATES.value),
        protocol,
        options,
      )
    ]
  found = [
    sets_lib.read(options._replace(files=files), preset, protocol, LIMIT.value)
    for files, preset in sets_lib.paired(data, PRESET.value)
  ]
  return sets_lib.distinct(found)


def drawn_by_flags() -> dict:
  return {name: flags.FLAGS[name].value for name in Drawn._fields}


def asking(path: str):
  """The tokenizer of a checkpoint, with the chat template of the flags where there is one."""
  from vibethinker_jax.programs import stage

  path, kwargs = storage.path(path), chat_template.parse(CHAT_KWARGS.value)
  return stage.asking(path, CHAT_TEMPLATE.value, kwargs) or stage.read_tokenizer(path)


def sample(path: str, output: pathlib.Path, chosen: list[sets_lib.Set], pool: Pool) -> None:
  """Evaluates one model: samples what is missing, verifies, writes everything."""
  import jax  # here and below: 2 s that stored responses do not need

  from vibethinker_jax import sharding
  from vibethinker_jax.eval import collect
  from vibethinker_jax.programs import stage
  from vibethinker_jax.runtime import hosts
  from vibethinker_jax.sampler import engine

  tokenizer = asking(path)
  chosen, taken = sets_lib.by_model(chosen, tokenizer.files(), drawn_by_flags())
  if not all(s.preset for s in chosen) and (line := generation.said(taken, tokenizer.files())):
    hosts.say(line)
  asked = chat_template.identity(CHAT_TEMPLATE.value, chat_template.parse(CHAT_KWARGS.value))
  identity = {'seed': SEED.value, 'model': stage.fingerprint(storage.path(path)) | asked} | verifier().identity()
  hosts.agreed(lambda: check_same(output / 'config.json', identity, chosen, REMEDY))
  mesh = sharding.make_mesh()
  with jax.set_mesh(mesh):
    model = stage.load(storage.path(path), mesh, tokenizer=tokenizer, progress=True)
    for s in chosen:
      collect.check_room(model.config, collect.prompts(model.tokenizer, s.rows), s.max_tokens)
    hosts.agreed(lambda: (remember(output / 'config.json', identity, chosen, REMEDY), origins.write(output)))
    slots = {s.name: min(SLOTS.value, max(8, s.samples * len(s.rows))) for s in chosen}  # empty ones cost as much
    samplers = {s.name: engine.Options(s.max_tokens, **s.drawn(), slots=slots[s.name]) for s in chosen}
    journal, futures = collect.collect(
      model,
      chosen,
      output,
      samplers,
      key=jax.random.key(SEED.value),
      mesh=mesh,
      pool=pool,
      progress=lambda total, there: stage.progress(total, pathlib.Path(path).name, there, 'response'),
    )
  commit = {'commit': hub.commit(path)} if hub.commit(path) else {}
  facts = {
    'model': {'path': path} | commit | identity['model'],
    'jax': jax.__version__,
    'seed': SEED.value,
    'generation_config': taken,
  }
  hosts.agreed(lambda: conclude(output, chosen, journal, pool, facts, futures=futures), 'the results')


def rescore(output: pathlib.Path, pool: Pool) -> None:
  """Scores --responses."""
  options = sources.DataOptions(
    '',
    prompt=PROMPT_FIELD.value,
    answer=ANSWER_FIELD.value,
    response=RESPONSE_FIELD.value,
    domain=DOMAIN_FIELD.value,
    wording=WORDING.value,
  )
  if DATA.value or len(PRESET.value) > 1:
    chosen = read_sets(DATA.value)
  else:
    inside, preset = options._replace(files=RESPONSES.value), (PRESET.value or [''])[0]
    name = preset or sets_lib.name_of(RESPONSES.value)
    rows = stored.problems(inside)
    rows = presets.select(rows, presets.find(preset)) if preset else rows
    protocol = sets_lib.OF_PRESET if preset else sets_lib.Protocol(1, 1.0, 1.0, 0)
    chosen = [sets_lib.make(name, preset, inside, rows, protocol._replace(samples=1))]
  count = None
  if TOKENIZER.value:
    encode = tokenizer_lib.load(hub.local(TOKENIZER.value, weights=False)).encode
    count = lambda text: len(encode(text))
  found = stored.read(
    RESPONSES.value, [s.name for s in chosen], {s.name: s.rows for s in chosen}, options, VERDICT_FIELD.value, count
  )
  most = {s.name: max((x['sample'] + 1 for x in found.lines if x['set'] == s.name), default=0) for s in chosen}
  if idle := [name for name, n in most.items() if not n]:
    raise ValueError(f'{RESPONSES.value} has no response to any problem of {", ".join(idle)}')
  chosen = [
    s._replace(
      samples=min(SAMPLES.value or most[s.name], most[s.name]), max_tokens=MAX_TOKENS.value, **drawn_by_flags()
    )
    for s in chosen
  ]  # known only if they are given
  own = (output / 'responses.jsonl').resolve()
  if own in [pathlib.Path(path).resolve() for path in rows_lib.paths(RESPONSES.value)]:
    raise ValueError(f'{own} is what --output would overwrite: give another --output')
  disk.check(output)
  own.unlink(missing_ok=True)
  journal = Journal(output)
  journal.known.update({(x['set'], x['id'], x['sample']): x for x in found.lines})
  conclude(output, chosen, journal, pool, {'responses': RESPONSES.value}, found)


def conclude(
  output: pathlib.Path,
  chosen: list[sets_lib.Set],
  journal: Journal,
  pool: Pool,
  facts: dict,
  found: stored.Stored | None = None,
  futures: dict | None = None,
) -> None:
  """Verdicts, numbers, and all files."""
  problems = {s.name: s.rows for s in chosen} if TRAINED_ON.value else {}
  named = TRAINED_ON.value, TRAIN_FIELDS.value, '--train_fields names others'
  overlaps = overlap.with_training(problems, *named) if problems else {}
  by = verifier()
  results, lines = judge.of_sets(chosen, journal.known, pool, futures, by.identity() if by.name else None)
  if by.name:
    invalid = [line['reason'] for line in lines if line['status'] == 'invalid']
    remedy = 'No result is written; mend the verifier, and the same command judges the same responses again'
    try:
      limit = by.verify.invalid_share, pool.first_fault, '--verify=invalid_share', remedy
      faults.refuse(str(output), invalid, len(lines), *limit)
    except ValueError:
      found and journal.remove()  # of stored responses nothing was sampled that could be lost
      raise
    facts = facts | by.identity()
  for name, shared in overlaps.items():
    results[name]['overlap'] = shared | scores.without(results[name], set(shared['shared']))
  taken = origins.of(TRAINED_ON.value, RESPONSES.value, *(s.files for s in chosen)).get('data', {})
  result = facts | ({'origins': taken} if taken else {}) | {'versions': sets_lib.versions(), 'sets': results}
  if found and found.theirs:
    result['agreement'] = {'field': VERDICT_FIELD.value} | stored.agreement(found.theirs, lines)
  counted = {(x['set'], x['id'], x['sample']) for x in lines}
  kept = [x for key, x in sorted(journal.known.items(), key=lambda item: item[0]) if key not in counted]
  journal.finish(lines + kept)
  journal.close()
  config_lib.write_json(output / 'result.json', result)
  page.write(output, result, chosen, lines, journal.timing())
  print(terminal.table(result, journal.timing()))
  print(f'{storage.named(str(output))}/report.html, result.json, responses.jsonl')


if __name__ == '__main__':
  flags.mark_flags_as_required(['output'])
  app.run(main, flags_parser=config_lib.parse_flags)
