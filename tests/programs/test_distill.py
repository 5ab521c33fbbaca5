"""Offline self-distillation: what is kept and why, the score, what a restart keeps, and SFT on what was written."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax import main, sharding
from vibethinker_jax.data import sources
from vibethinker_jax.data.tokens import chat
from vibethinker_jax.eval import benchmarks
from vibethinker_jax.model import transformer
from vibethinker_jax.programs import distill, stage as stage_lib

DATA = dict(files='', weights=(), prompt='', response='', answer='', domain='')
PROBLEMS, SAMPLES = 18, 6


@pytest.fixture(scope='module')
def config(toy, tmp_path_factory):
  """Two teachers of synthetic algebra, one of a file whose rows have a template of their own."""
  path = tmp_path_factory.mktemp('problems') / 'stem.jsonl'
  path.write_text(''.join(json.dumps({'q': f'What is {i}?', 'answer': i}) + '\n' for i in range(PROBLEMS)))
  config = toy.config()
  config['stages'] = ('sft', 'distill', 'sft_distill')
  teacher = dict(domains=(), levels=(), problems=0, max_traces=0)
  config['distill'] = dict(
    program='distill',
    init_from='sft',
    sampler=config['probe']['sampler'],
    samples=SAMPLES,
    row_length=256,
    micro_batch=8,
    chunk=7,
    min_response_tokens=4,
    teachers=dict(
      maths=teacher | dict(models=('sft@4', 'sft'), data=DATA, domains=('algebra',), levels=(1,), problems=PROBLEMS),
      stem=teacher | dict(models=('sft',), data=DATA | dict(files=str(path), prompt='{q} Box it.'), max_traces=9),
    ),
    select=dict(length_bounds=(8,), outlier_quantile=0.02, low_quantile=0.2, high_quantile=0.9, per_problem=2),
  )
  config['sft_distill'] = config['sft'] | dict(init_from='sft', data=DATA | dict(files='distill'), steps=2)
  return {
    name: value
    for name, value in config.items()
    if name not in ('probe', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code', 'evaluate')
  }


def canned(model, rows, samples, options, *, key, **_):
  """sample_and_verify without decoding: texts drawn by key and problem; of six samples the first five are right, the
  fifth of those cut off; one problem in five has no verdict for its first."""
  texts, stopped = [], np.ones((len(rows), samples), bool)
  stopped[:, 4] = False
  for row in rows:
    rng = np.random.default_rng([benchmarks.prompt_id(row), *np.asarray(jax.random.key_data(key))])
    texts.append([' '.join(rng.choice(['the', 'sum', 'is', '7', 'x', 'so'], 3 + 5 * (g % 3))) for g in range(samples)])
    texts[-1][3] = texts[-1][0]  # the same answer twice
  correct = np.array([[True] * 5 + [False]] * len(rows))
  valid = np.ones_like(correct)
  valid[[benchmarks.prompt_id(row) % 5 == 0 for row in rows], 0] = False
  responses = benchmarks.engine.Responses(None, None, None, stopped, np.ones_like(stopped), 0)
  return benchmarks.Scored(responses, correct, valid, np.full(valid.shape, 'coin').tolist(), texts, None, (0.0, 0.0))


@pytest.fixture(scope='module')
def finished(toy, config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('distilled')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(main, 'Pool', toy.CoinPool)
    main.run(config, workdir, ('sft',))
    patch.setattr(distill.benchmarks, 'sample_and_verify', canned)
    main.run(config, workdir, ('distill', 'sft_distill'))
  return workdir


def lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def result(workdir):
  return json.loads((workdir / 'distill' / 'result.json').read_text())


def test_every_response_is_kept_or_has_a_reason(finished):
  found = result(finished)
  assert found['sampled'] == 3 * PROBLEMS * SAMPLES
  assert found['kept'] + sum(found['dropped'].values()) == found['sampled']
  for name, models in (('maths', 2), ('stem', 1)):
    domain = found['domains'][name]
    assert domain['problems'] == PROBLEMS and domain['sampled'] == models * PROBLEMS * SAMPLES
    assert domain['kept'] + sum(domain['dropped'].values()) == domain['sampled']
    assert domain['dropped']['wrong'] == domain['dropped']['truncated'] == models * PROBLEMS
    assert domain['scored'] == domain['kept'] + sum(domain['dropped'][r] for r in distill.selection.REASONS)
    assert domain['dropped']['no_verdict'] > 0 < domain['dropped']['per_problem']
    # The copy of a first sample: a duplicate unless the first has no verdict; or both are too short.
    assert 0 < domain['dropped']['too_short'] and 0 < domain['dropped']['duplicate']
  assert found['domains']['stem']['kept'] == 9 and found['domains']['stem']['dropped']['over_cap'] > 0
  assert found['domains']['maths']['dropped']['over_cap'] == found['dropped']['too_long'] == 0


def test_what_is_written(finished):
  kept = lines(finished / 'distill' / 'data.jsonl')
  assert len(kept) == result(finished)['kept']
  assert {(row['domain'], row['model']) for row in kept} == {('maths', 'sft@4'), ('maths', 'sft'), ('stem', 'sft')}
  right = {
    (line['domain'], line['model'], text)
    for line in lines(finished / 'distill' / 'samples.jsonl')
    for text in line['responses']
  }
  for row in kept:
    assert (row['domain'], row['model'], row['response']) in right and row['tokens'] > 4 and row['answer'] != ''
    assert row['domain'] != 'stem' or row['prompt'] == f'What is {row["answer"]}? Box it.'
    assert set(row) - {'problem'} == {'prompt', 'answer', 'response', 'domain', 'model', 'tokens', 'score', 'worded'}
  counts = {name: [row['prompt'] for row in kept if row['domain'] == name] for name in ('maths', 'stem')}
  assert max(counts['maths'].count(x) for x in counts['maths']) == 2
  examples = sources.FileExamples(sources.DataOptions(str(finished / 'distill' / 'data.jsonl')))
  assert [examples[i]['prompt'] for i in range(len(examples))] == [row['prompt'] for row in kept]  # asked as it was


def open_stage(workdir, config):
  recipe, _ = main.bind(config)
  mesh = main.sharding.make_mesh(**recipe.mesh)
  return stage_lib.Stage('distill', workdir / 'distill', workdir, config, recipe, mesh, None)


@pytest.mark.slow
def test_the_score_is_that_of_the_student(finished, config):
  """Each trace alone, unpacked, from full logits. Packed again, 120 of them take several micro-batches."""
  stage = open_stage(finished, config)
  model, traces = stage_lib.open_model(stage, 'sft'), []
  rows = lines(finished / 'distill' / 'data.jsonl')[:40]
  for i, row in enumerate(rows):
    ids, mask = chat.encode_example(model.tokenizer, row)
    assert row['tokens'] == sum(mask)
    traces.append(distill.Encoded(i, '', '', ids[: -sum(mask)], ids[-sum(mask) :]))
    if i % 5 == 0:
      logps = jax.nn.log_softmax(transformer.logits(model.config, model.params, jnp.array([ids])))[0]
      taken = [-float(logps[t - 1, ids[t]]) for t in range(len(ids)) if mask[t]]
      np.testing.assert_allclose(row['score'], np.mean(taken), rtol=1e-4)
  calls, scorer = [], distill.scorer(model.config)
  found = distill._score_chunk(
    model,
    lambda *a: calls.append(a) or scorer(*a),
    sharding.batch_sharding(stage.mesh),
    traces * 3,
    main.bind(config)[1]['distill'],
  )
  assert len(calls) > 1
  np.testing.assert_allclose(found, [row['score'] for row in rows] * 3, rtol=1e-4)


def test_a_later_stage_trains_on_it(finished):
  found = json.loads((finished / 'sft_distill' / 'result.json').read_text())
  assert found['steps'] == 2 and found['tokens_this_process'] > 0
  page = (finished / 'report.html').read_text()
  assert 'keeps right responses that the student can still learn from' in page


@pytest.mark.parametrize('sampled, scored, chunks', [(54, 3, []), (43, 2, [7, 4]), (0, 0, [7, 7, 4] * 3)])
def test_a_restart_goes_on_and_gives_the_same(toy, config, finished, tmp_path, monkeypatch, sampled, scored, chunks):
  """Over the first lines of what was written, and half a line."""
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  asked, scoring, score_chunk = [], [], distill._score_chunk

  def counted(model, rows, *arguments, **named):
    asked.append(len(rows))
    return canned(model, rows, *arguments, **named)

  monkeypatch.setattr(distill.benchmarks, 'sample_and_verify', counted)
  monkeypatch.setattr(distill, '_score_chunk', lambda *a: scoring.append(len(a[3])) or score_chunk(*a))
  for name in ('sft', 'config.json', 'tokenizer.model'):
    (tmp_path / name).symlink_to(finished / name)
  (tmp_path / 'distill').mkdir()
  for name, count in (('samples.jsonl', sampled), ('scores.jsonl', scored)):
    known = (finished / 'distill' / name).read_text().splitlines(keepends=True)
    (tmp_path / 'distill' / name).write_text(''.join(known[:count]) + '{"problem": "ab')
  main.run(config, tmp_path, ('distill',))
  total = len(lines(finished / 'distill' / 'scores.jsonl'))
  assert asked == chunks and len(scoring) == total - scored
  for name in ('data.jsonl', 'samples.jsonl', 'scores.jsonl'):
    assert (tmp_path / 'distill' / name).read_text() == (finished / 'distill' / name).read_text()
  assert sorted(path.name for path in (tmp_path / 'distill').iterdir()) == [
    'asked.json',
    'config.json',
    'data.jsonl',
    'result.json',
    'samples.jsonl',
    'scores.jsonl',
    'timeline.jsonl',
  ]


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(min_response_tokens=200), r"keeps none of 324 responses.*'too_short': \d\d"),
    (dict(row_length=16), "keeps none of 324 responses.*'too_long': [1-9]"),
    (dict(init_from='nowhere'), r"distill\.init_from: 'nowhere' is neither a stage of this recipe nor a file"),
  ],
)
def test_errors(toy, config, finished, tmp_path, monkeypatch, change, message):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  monkeypatch.setattr(distill.benchmarks, 'sample_and_verify', canned)
  (tmp_path / 'sft').symlink_to(finished / 'sft')
  with pytest.raises(ValueError, match=message):
    main.run(config | dict(distill=config['distill'] | change), tmp_path, ('distill',))
  assert not (tmp_path / 'distill' / 'data.jsonl').exists() and not (tmp_path / 'distill' / 'result.json').exists()


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(teachers={}), 'distill.teachers needs at least one domain'),
    (dict(chunk=0), 'distill.chunk=0'),
    (dict(samples=0), 'distill.samples=0'),
    (dict(micro_batch=3), 'distill.micro_batch=3 must be a multiple'),
    (dict(select=dict(low_quantile=0.9, high_quantile=0.1)), 'low_quantile=0.9'),
  ],
)
def test_wrong_options_are_found_before_hours_of_sampling(toy, config, tmp_path, monkeypatch, change, message):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  with pytest.raises(ValueError, match=message):
    main.run(config | dict(distill=config['distill'] | change), tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_a_wrong_field_of_a_teacher_is_found_before_anything_runs(config):
  teachers = dict(maths=config['distill']['teachers']['maths'] | dict(modles=()))
  with pytest.raises(ValueError, match=r'distill\.teachers\.maths\.modles is not a field'):
    main.bind(config | dict(distill=config['distill'] | dict(teachers=teachers)))


@pytest.mark.slow
def test_sampling_is_of_the_teacher(toy, config, finished, tmp_path, monkeypatch):
  """Decoding for real: each model answers its own problems, with draws of its own."""
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  (tmp_path / 'sft').symlink_to(finished / 'sft')
  seen, real = [], benchmarks.sample_and_verify

  def watched(model, rows, *arguments, **named):
    found = real(model, rows, *arguments, **named)
    seen.append((float(jnp.sum(model.params['embedding'])), rows[0]['prompt'], found.texts_PG[0]))
    return found

  monkeypatch.setattr(distill.benchmarks, 'sample_and_verify', watched)
  change = dict(
    min_response_tokens=0,
    chunk=PROBLEMS,
    samples=16,
    select=config['distill']['select'] | dict(low_quantile=0.0, high_quantile=1.0),
  )
  main.run(config | dict(distill=config['distill'] | change), tmp_path, ('distill',))
  assert len(seen) == 3 and seen[0][0] != seen[1][0] == seen[2][0]
  assert seen[0][1] == seen[1][1] != seen[2][1] and seen[0][2] != seen[1][2]
  found = result(tmp_path)
  assert found['kept'] + sum(found['dropped'].values()) == found['sampled'] == 3 * 16 * PROBLEMS
  assert min(found['dropped'][r] for r in ('wrong', 'no_verdict', 'truncated')) > 0 < found['kept']
