"""Difficulty filtering: what goes for which reason, what a restart keeps, and SFT on what was written."""

import json

import pytest

from vibethinker_jax import main
from vibethinker_jax.data import sources
from vibethinker_jax.eval import benchmarks
from vibethinker_jax.programs import filter as filter_lib, inputs

DATA = dict(files='', weights=(), prompt='', response='', answer='', domain='')


def trace(i, words=60):
  return f'<think>\n{" ".join(f"{i}x{j}" for j in range(words))}\n</think> \\boxed{{{i}}}'


@pytest.fixture(scope='module')
def traces(tmp_path_factory):
  """30 problems of two traces each; a short trace and one that loops; one problem twice."""
  path = tmp_path_factory.mktemp('traces') / 'traces.jsonl'
  rows = [{'problem': f'What is {i}?', 'solutions': [trace(i), trace(i, 70)], 'answer': i} for i in range(30)]
  rows += [
    {'problem': 'Short?', 'solution': trace(1, 3), 'answer': 1},
    {'problem': 'Loop?', 'solution': trace(1, 9) + ' and again' * 80, 'answer': 1},
    rows[0],
  ]
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return path


@pytest.fixture(scope='module')
def config(toy, traces):
  config = toy.config()
  config['stages'] = ('sft', 'hard', 'sft_hard')
  config['hard'] = dict(
    program='filter',
    init_from='sft',
    data=DATA | dict(files=str(traces)),
    sampler=config['probe']['sampler'],
    samples=8,
    min_error_rate=0.6,
    min_response_tokens=40,
    max_repetition=0.3,
    chunk=7,
  )
  config['sft_hard'] = config['sft'] | dict(init_from='sft', data=DATA | dict(files='hard'), steps=2, length=1024)
  return {
    name: value
    for name, value in config.items()
    if name not in ('probe', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code', 'evaluate')
  }


@pytest.fixture(scope='module')
def finished(toy, config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('filtered')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(main, 'Pool', toy.CoinPool)
    main.run(config, workdir)
  return workdir


def lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_trace_is_kept_or_has_a_reason(finished):
  found = json.loads((finished / 'hard' / 'result.json').read_text())
  dropped = found['dropped']
  assert found['traces'] == 64 and found['problems_sampled'] == 30
  assert (dropped['too_short'], dropped['repetitive']) == (1, 1) and dropped['too_easy'] > 0 < found['kept']
  assert found['kept'] + sum(dropped.values()) == 64
  assert found['kept'] == len(lines(finished / 'hard' / 'data.jsonl'))


def test_what_is_kept_is_hard(finished, config):
  counts = lines(finished / 'hard' / 'error_rates.jsonl')
  rates = {line['problem']: 1 - line['correct'] / line['valid'] for line in counts}
  kept = lines(finished / 'hard' / 'data.jsonl')
  assert len(rates) == 30 and all(row['error_rate'] >= 0.6 and row['error_rate'] in rates.values() for row in kept)
  assert sum(rate >= 0.6 for rate in rates.values()) == len({row['prompt'] for row in kept})
  for row in kept:
    i = int(row['answer'])
    assert (
      row['problem'] == f'What is {i}?'
      and row['worded']
      and row['prompt'] == (f"What is {i}? Let's think step by step and output the final answer within \\boxed{{}}.")
      and row['response'] in (trace(i), trace(i, 70))
    )
    assert row['domain'] == 'traces.jsonl'
  assert len(sources.read_problems(str(finished / 'hard' / 'data.jsonl'))) == len(kept)  # RL can read it as well


def test_a_later_stage_trains_on_it(finished):
  found = json.loads((finished / 'sft_hard' / 'result.json').read_text())
  assert found['steps'] == 2 and found['tokens_this_process'] > 0


@pytest.mark.slow
def test_other_data_is_noticed(toy, config, finished, traces, tmp_path, monkeypatch):
  """The position in the data would mean something else."""
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  (tmp_path / 'hard').symlink_to(finished / 'hard')
  (tmp_path / 'mine.jsonl').write_text(traces.read_text())
  mine = config['sft_hard'] | dict(data=DATA | dict(files=f'{tmp_path}/mine.jsonl'), init_from='scratch')
  main.run(config | dict(sft_hard=mine), tmp_path, ('sft_hard',))
  (tmp_path / 'sft_hard' / 'result.json').unlink()
  (tmp_path / 'mine.jsonl').write_text(traces.read_text() * 2)
  with pytest.raises(ValueError, match=r'sft_hard: its data has \[128\] examples now, \[64\] when it was'):
    main.run(config | dict(sft_hard=mine), tmp_path, ('sft_hard',))


def restarted(toy, config, finished, tmp_path, monkeypatch, lines_left):
  """The stage run again over the first lines of error_rates.jsonl and half a line; the sizes of its chunks."""
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  chunks, sample = [], benchmarks.sample_and_verify

  def counted(model, rows, *arguments, **named):
    chunks.append(len(rows))
    return sample(model, rows, *arguments, **named)

  monkeypatch.setattr(filter_lib.benchmarks, 'sample_and_verify', counted)
  (tmp_path / 'sft').symlink_to(finished / 'sft')
  for name in ('config.json', 'tokenizer.model'):
    (tmp_path / name).symlink_to(finished / name)
  (tmp_path / 'hard').mkdir()
  known = (finished / 'hard' / 'error_rates.jsonl').read_text().splitlines(keepends=True)[:lines_left]
  (tmp_path / 'hard' / 'error_rates.jsonl').write_text(''.join(known) + '{"problem": "ab')
  main.run(config, tmp_path, ('hard',))
  return chunks


@pytest.mark.parametrize('lines_left, chunks', [(14, [7, 7, 2]), (0, [7, 7, 7, 7, 2])])
def test_a_restart_samples_the_rest_and_gives_the_same(
  toy, config, finished, tmp_path, monkeypatch, lines_left, chunks
):
  assert restarted(toy, config, finished, tmp_path, monkeypatch, lines_left) == chunks
  for name in ('data.jsonl', 'error_rates.jsonl'):
    assert (tmp_path / 'hard' / name).read_text() == (finished / 'hard' / name).read_text()
  assert sorted(path.name for path in (tmp_path / 'hard').iterdir()) == [
    'asked.json',
    'config.json',
    'data.jsonl',
    'error_rates.jsonl',
    'result.json',
    'timeline.jsonl',
  ]


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(min_response_tokens=5000), 'keeps none of 64 traces.*too_short.: 64'),
    (dict(data=DATA), 'hard.data needs files'),
    (dict(data=DATA | dict(files='sft')), r"hard\.data\.files: 'sft' must be a stage before this one that writes data"),
    (dict(chunk=0), 'hard.chunk=0'),
    (dict(data=DATA | dict(files='FILE', answer='none')), 'neither answer nor tests'),
  ],
)
def test_errors(toy, config, finished, traces, tmp_path, monkeypatch, change, message):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  (tmp_path / 'sft').symlink_to(finished / 'sft')
  if 'data' in change:
    change = change | dict(data=change['data'] | dict(files=change['data']['files'].replace('FILE', str(traces))))
  with pytest.raises(ValueError, match=message):
    main.run(config | dict(hard=config['hard'] | change), tmp_path, ('hard',))
  assert not (tmp_path / 'hard' / 'data.jsonl').exists() and not (tmp_path / 'hard' / 'result.json').exists()


def test_without_samples_only_the_traces_decide(toy, config, finished, tmp_path, monkeypatch):
  monkeypatch.setattr(main, 'Pool', toy.CoinPool)
  (tmp_path / 'sft').symlink_to(finished / 'sft')
  main.run(config | dict(hard=config['hard'] | dict(samples=0)), tmp_path, ('hard',))
  assert len(lines(tmp_path / 'hard' / 'data.jsonl')) == 62


def test_stages_and_files_together(finished, config):
  _, options = main.bind(config)
  stage = filter_lib.Stage('x', finished / 'x', finished, config, main.bind(config)[0], None, None)
  mixed = options['hard'].data._replace(files='hard, a*.jsonl', weights=(1, 2))
  assert inputs.resolve(stage, mixed) == mixed._replace(files=f'{finished}/hard/data.jsonl,a*.jsonl')
