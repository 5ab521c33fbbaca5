"""`sample` and `evaluate` as a user calls them, on a checkpoint of a random model."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pyarrow
from pyarrow import parquet
import pytest

from vibethinker_jax import checkpoint
from vibethinker_jax.data.tokens import tokenizer
from vibethinker_jax.model import config, transformer


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
  """A stage directory with a random model of 400 pieces."""
  texts = [f'{i} apples and {i + 1} pears are {2 * i + 1} fruits' for i in range(300)]
  trained = tokenizer.train(texts, 300)
  fields = dict(
    vocab_size=trained.vocab_size,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=8,
    intermediate_size=24,
  )
  model = config.from_dict(fields)
  directory = tmp_path_factory.mktemp('run') / 'sft'
  saved = {'config': fields, 'tokenizer': trained.files()}
  with checkpoint.Checkpoints(directory / 'checkpoints', keep=None, model=saved) as checkpoints:
    checkpoints.save(3, transformer.init(model, jax.random.key(0)), {'step': jnp.int32(3)}, {})
  return directory


def command(name, *arguments):
  return subprocess.run(
    [sys.executable, '-m', f'vibethinker_jax.{name}', *arguments], capture_output=True, text=True, timeout=600
  )


def test_sample_is_reproducible_and_says_where_it_was_cut(stage):
  calls = [command('sample', f'--checkpoint={stage}', '--prompt=3 apples', '--max_tokens=6') for _ in range(2)]
  assert calls[0].returncode == 0, calls[0].stderr
  assert calls[0].stdout == calls[1].stdout and '[cut off at --max_tokens=6]' in calls[0].stdout
  assert 'Traceback' not in calls[0].stderr and 'arning' not in calls[0].stderr


def evaluate(stage, output, *arguments, rows=(('3 apples', '3'), ('4 apples', '4'), ('5 apples', '5'))):
  """Evaluates on rows of (prompt, answer), 8 tokens each; returns (the finished process, a reader of its output)."""
  data = output.parent / 'mine.jsonl'
  data.write_text(''.join(json.dumps({'prompt': prompt, 'answer': answer}) + '\n' for prompt, answer in rows))
  given = () if any(a.startswith('--samples') for a in arguments) else ('--samples=2',)
  done = command(
    'evaluate', f'--checkpoint={stage}', f'--data={data}', *given, '--max_tokens=8', f'--output={output}', *arguments
  )
  return done, lambda name: json.loads((output / name).read_text())


def lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_evaluate_scores_and_keeps_every_response(stage, tmp_path):
  done, read = evaluate(stage, tmp_path / 'out')
  assert done.returncode == 0, done.stderr
  score, responses = read('result.json')['sets']['mine'], lines(tmp_path / 'out/responses.jsonl')
  assert (score['problems'], score['samples'], score['score']) == (3, [2, 2], 'avg@2')
  assert [(r['id'], r['sample']) for r in responses] == [(i, g) for i in '123' for g in (0, 1)]
  assert all(r['tokens'] <= 8 and r['cut_off'] in (True, False) for r in responses)
  assert score['avg']['value'] == sum(r['status'] == 'correct' for r in responses) / 6
  assert read('timing.json')['responses'] == 6 and read('result.json')['model']['sha256']
  assert 'mine, avg@2' in done.stdout and '3 apples' in (tmp_path / 'out/report.html').read_text()


@pytest.mark.slow
def test_a_stopped_evaluation_goes_on_and_takes_more_samples(stage, tmp_path):
  """What a kill leaves: some responses, in any order, and half a line. Then the same result, byte for byte."""
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  for directory, samples in ((whole, 3), (killed, 2)):
    done, _ = evaluate(stage, directory, f'--samples={samples}')
    assert done.returncode == 0, done.stderr
  kept = lines(killed / 'responses.jsonl')
  text = ''.join(json.dumps(kept[i]) + '\n' for i in (4, 0, 3))
  (killed / 'responses.jsonl').write_text(text + json.dumps(kept[1])[:30])
  done, read = evaluate(stage, killed, '--samples=3', '--slots=8')
  assert done.returncode == 0, done.stderr
  for name in ('result.json', 'responses.jsonl'):
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
  assert [s['responses'] for s in read('timing.json')['sessions']] == [6, 6]  # three were there
  done, _ = evaluate(stage, killed, '--seed=1')
  assert done.returncode == 1 and 'another evaluation' in done.stderr and 'seed: 0 -> 1' in done.stderr


@pytest.mark.slow
def test_another_verifier_is_another_evaluation(stage, tmp_path, monkeypatch):
  """Its rewards stand in the lines; the responses that are there can be scored by another one elsewhere."""
  (tmp_path / 'own.py').write_text('def judge_batch(texts, rows):\n  return [-float(len(text)) for text in texts]\n')
  monkeypatch.setenv('PYTHONPATH', f'{tmp_path}{os.pathsep}{os.environ.get("PYTHONPATH", os.getcwd())}')
  own = ('--verifier=own:judge_batch', '--correct_at=-20')
  done, read = evaluate(stage, tmp_path / 'out', *own)
  assert done.returncode == 0, done.stderr
  kept = lines(tmp_path / 'out/responses.jsonl')
  assert [(r['reward'], r['status']) for r in kept] == [
    (-len(r['response']), 'correct' if len(r['response']) <= 20 else 'wrong') for r in kept
  ]
  mean = sum(r['reward'] for r in kept) / 6
  assert read('result.json')['sets']['mine']['reward']['value'] == pytest.approx(mean)
  assert evaluate(stage, tmp_path / 'out', *own, '--samples=3')[0].returncode == 0
  done, _ = evaluate(stage, tmp_path / 'out')
  assert done.returncode == 1 and "verifier: 'own:judge_batch' -> 'vibethinker" in done.stderr
  stored = f'--responses={tmp_path}/out/responses.jsonl', f'--data={tmp_path}/mine.jsonl'
  done = command('evaluate', *stored, f'--output={tmp_path}/again')
  assert done.returncode == 0 and 'reward' not in (tmp_path / 'again/responses.jsonl').read_text(), done.stderr


@pytest.mark.slow  # 60 s
def test_killed_five_times(stage, tmp_path):
  rows = [(f'{i} apples', str(i)) for i in range(100)]
  assert evaluate(stage, tmp_path / 'whole', '--slots=8', rows=rows)[0].returncode == 0
  path, random_ = tmp_path / 'killed/responses.jsonl', random.Random(5)
  for kill in range(5):
    started = subprocess.Popen(
      [
        sys.executable,
        '-m',
        'vibethinker_jax.evaluate',
        f'--checkpoint={stage}',
        f'--data={tmp_path}/mine.jsonl',
        '--samples=2',
        '--max_tokens=8',
        '--slots=8',
        f'--output={tmp_path}/killed',
      ],
      start_new_session=True,
    )
    goal = random_.randrange(40 * kill, 40 * kill + 40)
    while started.poll() is None and (path.read_bytes().count(b'\n') if path.exists() else 0) <= goal:
      time.sleep(0.005)
    if started.poll() is None:
      os.killpg(started.pid, signal.SIGKILL)
    started.wait()
  assert evaluate(stage, tmp_path / 'killed', '--slots=8', rows=rows)[0].returncode == 0
  for name in ('result.json', 'responses.jsonl'):
    assert (tmp_path / 'killed' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()


@pytest.mark.slow
def test_what_is_asked_is_kept_and_cannot_change(stage, tmp_path):
  """The prefix stands in every response and counts no token; another one, or none, is another evaluation."""
  asked = ['--prefix=<think>\\n', '--system=Be terse.']
  done, read = evaluate(stage, tmp_path / 'out', *asked)
  assert done.returncode == 0, done.stderr
  kept = lines(tmp_path / 'out' / 'responses.jsonl')
  assert all(line['response'].startswith('<think>\n') and line['tokens'] <= 8 for line in kept)
  assert {'system': 'Be terse.', 'prefix': '<think>\n'}.items() <= read('result.json')['sets']['mine'].items()
  assert 'responses begin with' in (tmp_path / 'out' / 'report.html').read_text()
  done, _ = evaluate(stage, tmp_path / 'out', asked[1])
  assert done.returncode == 1 and "mine.prefix: '<think>\\n' -> '(absent)'" in done.stderr
  done, _ = evaluate(stage, tmp_path / 'new', *asked, '--chat_template_kwargs=enable_thinking=false')
  assert done.returncode == 1 and 'has no chat template' in done.stderr.splitlines()[-1]
  assert 'Traceback' not in done.stderr


def test_several_models_and_a_comparison(stage, tmp_path):
  done, read = evaluate(f'{stage},{stage}/checkpoints/3', tmp_path / 'out')
  assert done.returncode == 0, done.stderr
  compared = read('comparison.json')['sets']['mine']
  assert len(compared['scores']) == 2 and [d['value'] for d in compared['differences'].values()] == [0.0]
  assert (tmp_path / 'out/comparison.html').exists() and 'problems better' in done.stdout


def test_stored_responses_are_scored_without_a_model(tmp_path):
  data, theirs = tmp_path / 'p.jsonl', tmp_path / 'r.jsonl'
  data.write_text(
    ''.join(
      json.dumps({'problem': f'What is {i} and {i} apples together, if one counts them by hand?', 'answer': str(2 * i)})
      + '\n'
      for i in range(3)
    )
  )
  theirs.write_text(
    ''.join(
      json.dumps({'id': str(i + 1), 'output': f'so \\boxed{{{answer}}}', 'ok': True}) + '\n'
      for i, answer in ((0, 0), (1, 2), (2, 5), (0, 0), (1, 3), (2, 5))
    )
  )
  arguments = [
    f'--responses={theirs}',
    f'--data={data}',
    '--preset=gsm8k',
    '--verdict_field=ok',
    f'--trained_on={data}',
    '--train_fields=prompt',
  ]
  results = []
  for name in ('one', 'two'):
    done = command('evaluate', *arguments, f'--output={tmp_path / name}')
    assert done.returncode == 0, done.stderr
    results.append((tmp_path / name / 'result.json').read_bytes())
  assert results[0] == results[1]
  result = json.loads(results[0])
  score = result['sets']['gsm8k']
  assert score['avg']['value'] == 0.5 and score['cons']['value'] == 0.5 and score['temperature'] is None
  assert (result['agreement']['responses'], result['agreement']['agree']) == (6, 3)
  assert len(score['overlap']['shared']) == 3 or score['overlap']['boilerplate']


def test_scoring_stored_responses_does_not_import_jax():
  heavy = ('jax', 'jaxlib', 'flax', 'torch')
  code = f'import sys, vibethinker_jax.evaluate; sys.exit(str([m for m in {heavy} if m in sys.modules] or ""))'
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300)
  assert done.stderr.strip() == '', done.stderr


@pytest.mark.slow
def test_evaluate_reads_parquet_with_fields_by_name(stage, tmp_path):
  rows = [{'q': f'{i} apples', 'gold': {'value': i}, 'kind': f'kind{i % 2}'} for i in range(4)]
  parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / 'mine.parquet')
  done = command(
    'evaluate',
    f'--checkpoint={stage}',
    f'--data={tmp_path}/*.parquet',
    '--prompt_field={q}?',
    '--answer_field=gold.value',
    '--domain_field=kind',
    '--samples=1',
    '--max_tokens=4',
    f'--output={tmp_path}/out',
  )
  assert done.returncode == 0, done.stderr
  score = json.loads((tmp_path / 'out/result.json').read_text())['sets']['set']
  assert score['subjects'].keys() == {'kind0', 'kind1'} and 'kind1' in done.stdout
  done = command('evaluate', f'--checkpoint={stage}', f'--data={tmp_path}/*.parquet', f'--output={tmp_path}/out')
  assert done.returncode == 1 and 'mine.parquet, row 1: a problem needs' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
  'arguments, part',
  [
    ((), 'give one of --checkpoint'),
    (('--responses=x', '--checkpoint=y'), 'give one of'),
    (('--checkpoint=y', '--preset=aime99'), 'there is no preset'),
    (('--checkpoint=y', '--preset=aime24', '--data=synthetic'), 'needs the files of the benchmark'),
    (('--checkpoint=y', '--preset=aime99', '--data=tests/test_commands.py'), 'aime99'),
    (('--responses=nope.jsonl',), 'no such data file'),
    (('--compare=a,b',), 'no finished evaluation'),
  ],
)
def test_mistakes_of_evaluate(arguments, part, tmp_path):
  done = command('evaluate', *arguments, f'--output={tmp_path}/out')
  assert done.returncode == 1 and part in done.stderr and 'Traceback' not in done.stderr, done.stderr


def test_errors_are_one_line(stage, tmp_path):
  done = command('sample', f'--checkpoint={tmp_path}', '--prompt=x')
  assert done.returncode == 1 and 'no finished checkpoint' in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.slow
def test_convert_there_and_back(stage, tmp_path):
  steps = [
    (stage, 'hf', ['--dtype=float32']),
    ('hf', 'ours', []),
    ('ours', 'hf2', ['--dtype=float32', '--shard_gb=0.001']),
  ]
  for source, target, more in steps:
    done = command('convert', f'--source={tmp_path / source}', f'--target={tmp_path / target}', *more)
    assert done.returncode == 0, done.stderr
    assert f'{tmp_path / source} -> {tmp_path / target}' in done.stdout and 'vocabulary 300 (300' in done.stdout
  names = {p.name for p in (tmp_path / 'hf').iterdir()}
  assert names == {
    'config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
    'generation_config.json',
  }
  for name in names:
    assert (tmp_path / 'hf' / name).read_bytes() == (tmp_path / 'hf2' / name).read_bytes()
  refused = command('convert', f'--source={stage}', f'--target={tmp_path / "hf"}')
  assert refused.returncode != 0 and 'not an empty directory' in refused.stderr and 'Traceback' not in refused.stderr
  lost = command('convert', f'--source={tmp_path / "nowhere"}', f'--target={tmp_path / "x"}')
  assert lost.returncode != 0 and 'nowhere' in lost.stderr and 'Traceback' not in lost.stderr
  # The converted directory is a --checkpoint like any other, and says the same. Greedy: the nearly uniform distribution
  # of a random model has 300 borders, of which one may move by a bit over a draw.
  said = [
    command('sample', f'--checkpoint={path}', '--prompt=3 apples', '--max_tokens=6', '--temperature=0').stdout
    for path in (stage, tmp_path / 'hf')
  ]
  assert said[0] == said[1] != ''


@pytest.mark.slow
def test_a_model_is_sampled_as_its_generation_config_says(stage, tmp_path):
  model, settings = tmp_path / 'hf', dict(do_sample=True, temperature=0.7, top_p=0.8, top_k=5, repetition_penalty=1.1)
  assert command('convert', f'--source={stage}', f'--target={model}').returncode == 0
  file = model / 'generation_config.json'
  file.write_text(json.dumps(json.loads(file.read_text()) | settings))
  said = 'generation_config.json of the model: temperature=0.7, top_p=0.8, top_k=5'
  done = command('sample', f'--checkpoint={model}', '--prompt=3 apples', '--max_tokens=4')
  assert done.stderr.count(said) == 1 and done.stderr.count('generation_config') == 1
  done, read = evaluate(model, tmp_path / 'out', '--top_p=0.5', '--min_p=0.01')
  said = 'generation_config.json of the model: temperature=0.7, top_k=5; not done here: repetition_penalty=1.1\n'
  assert said in done.stdout + done.stderr
  score = read('result.json')['sets']['mine']
  assert [score[name] for name in ('temperature', 'top_p', 'top_k', 'min_p')] == [0.7, 0.5, 5, 0.01]
  assert read('result.json')['generation_config'] == {'temperature': 0.7, 'top_k': 5}
  done, _ = evaluate(model, tmp_path / 'out', '--top_p=0.5', '--min_p=0.01', '--top_k=6')
  assert done.returncode != 0 and 'top_k' in done.stderr and 'Traceback' not in done.stderr
  for source, target in ((model, 'ours'), (tmp_path / 'ours', 'again')):
    assert command('convert', f'--source={source}', f'--target={tmp_path / target}').returncode == 0
  assert (tmp_path / 'again/generation_config.json').read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_stop_strings_end_responses(stage, tmp_path):
  """With --stop the same draws, each cut before the string, which a response that would go on is then stopped by."""
  done, _ = evaluate(stage, tmp_path / 'out')
  assert done.returncode == 0, done.stderr
  free = lines(tmp_path / 'out/responses.jsonl')
  stop = next(found.group() for r in free if (found := re.search('[a-z] ?[a-z0-9]', r['response'][1:])))
  done, read = evaluate(stage, tmp_path / 'stopped', f'--stop=never there,{stop}')
  assert done.returncode == 0, done.stderr
  assert read('result.json')['sets']['mine']['stop'] == ['never there', stop]
  ended = lines(tmp_path / 'stopped/responses.jsonl')
  for a, b in zip(free, ended, strict=True):
    assert b['response'] == a['response'].partition(stop)[0]
    if stop in a['response']:
      assert not b['cut_off'] and b['tokens'] <= a['tokens']
    else:
      assert (b['cut_off'], b['tokens']) == (a['cut_off'], a['tokens'])
  assert sum(stop in a['response'] for a in free) >= 1
  for other in ((), ('--stop=zz',)):
    done, _ = evaluate(stage, tmp_path / 'stopped', *other)
    assert done.returncode != 0 and 'stop' in done.stderr and 'Traceback' not in done.stderr
  asked = [f'--checkpoint={stage}', '--prompt=3 apples', '--max_tokens=40']
  said = command('sample', *asked).stdout.partition('\n[cut off')[0]
  middle = re.search('[a-z] ?[a-z0-9]', said[9:]).group()
  assert command('sample', *asked, f'--stop={middle}').stdout.rstrip('\n') == said.partition(middle)[0].rstrip('\n')
  done = command('sample', *asked, '--stop=a,')
  assert done.returncode != 0 and "--stop='a,' has ''" in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.parametrize(
  'argument, parts',
  [
    ('--config.sft.lr=1', ('lr',)),
    pytest.param('--config.sft.data.file=x', ('file', 'files'), marks=pytest.mark.slow),
    ('--config.verifier=nope:judge', ('nope', 'module:function')),
    pytest.param('--config.rl_code.data.files=nope.jsonl', ('rl_code', 'nope.jsonl'), marks=pytest.mark.slow),
    pytest.param('--config.base=Qwen2.5-Math-1.5B', ('Qwen2.5-Math-1.5B', 'a name of the Hub'), marks=pytest.mark.slow),
    ('--config.rl_code.init_from=Qwen2.5-Math-1.5B', ('rl_code', 'Qwen2.5-Math-1.5B', 'nor a name of the Hub')),
  ],
)
def test_mistakes_are_found_before_anything_runs(argument, parts, tmp_path):
  done = command('main', '--config=configs/tiny.py', f'--workdir={tmp_path}/run', argument)
  assert done.returncode != 0 and 'Traceback' not in done.stderr
  assert 'error:' in done.stderr and all(part in done.stderr for part in parts)
  assert not (tmp_path / 'run').exists()  # nothing that the corrected command would be refused for


def test_models_that_are_not_there(tmp_path):
  (tmp_path / 'bad').mkdir()
  (tmp_path / 'bad/config.json').write_text('{')
  for path, part in ((tmp_path / 'none', 'no such file or directory'), (tmp_path / 'bad', 'bad: damaged')):
    done = command('sample', f'--checkpoint={path}', '--prompt=x')
    assert done.returncode != 0 and part in done.stderr and 'Traceback' not in done.stderr, done.stderr
