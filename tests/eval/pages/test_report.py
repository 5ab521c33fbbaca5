import html.parser
import json
import math
import random
import re
import subprocess
import sys

import pytest

from vibethinker_jax.eval.pages import report

MATHS = ('algebra', 'geometry', 'calculus', 'statistics')
DOMAINS = MATHS + ('code',)
RL = {'rl_math_16k': 40, 'rl_math_32k': 40, 'rl_code': 20}
MODELS = ('init', 'merge', *RL)
HOSTILE = '<think>a < b & "c"</think></script><script>alert(1)</script><!--<img src=x>\ud800\u2028'
CONFIG = {
  'seed': 7,
  'domains': DOMAINS,
  'stages': ('sft', 'probe', 'merge', *RL, 'evaluate'),
  'model': {
    'vocab_size': 0,
    'hidden_size': 128,
    'num_hidden_layers': 4,
    'num_attention_heads': 4,
    'num_key_value_heads': 2,
    'head_dim': 32,
    'intermediate_size': 384,
  },
  'tokenizer': {'vocab_size': 768},
  'sft': {'program': 'sft'},
  'probe': {'program': 'probe'},
  'merge': {'program': 'merge', 'probe': 'probe'},
  **{name: {'program': 'rl'} for name in RL},
  'evaluate': {'program': 'evaluate', 'models': MODELS},
}


def summary(p, k=4, half=0.025):
  """What passk.summary gives."""
  at = {1: p, k: 1 - (1 - p) ** (k**0.6)}
  around = lambda x: [max(0, x - half), min(1, x + half)]
  return {
    'pass@1': p,
    'ci95': around(p),
    'pass@k': {str(j): x for j, x in at.items()},
    'pass@k_ci95': {str(j): around(x) for j, x in at.items()},
    'problems': 250,
    'samples': k,
  }


def group(rng, domain, share, size, **more):
  text = 'y=14-x: 3*14=30+12=42\n5x+42-3x=64\n2x=64-42=22\nx=11'
  answer = '' if domain == 'code' else '11'
  responses = [
    {'text': f'<think>{text}</think>\\boxed{{{12 - right}}}', 'reward': right, 'tokens': 48}
    for right in (int(rng.random() < share) for _ in range(size))
  ]
  return {
    'prompt': f'x+y={rng.randint(9, 99)}, 5x+3y=64. Find x.',
    'answer': answer,
    'domain': domain,
    'responses': responses,
  } | more


def put(path, values):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(values))


def put_lines(path, lines):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


def put_sft(workdir, rng):
  put_lines(
    workdir / 'sft/metrics.jsonl',
    [
      {
        'step': t,
        'time': 1e9 + t,
        'loss': 0.3 + 5 * math.exp(-t / 90) + rng.gauss(0, 0.01),
        'grad_norm': 0.5,
        'entropy': 0.28 + 4.5 * math.exp(-t / 100),
      }
      for t in range(10, 901, 10)
    ],
  )
  put(workdir / 'sft/result.json', {'steps': 900, 'final_loss': 0.3, 'seconds': 213.4, 'resumed_at': 0})


def put_probe_and_merge(workdir, rng):
  scores = {
    str(t): {
      d: summary(0.6 - 0.5 * math.exp(-t / (150 + 60 * i)) + rng.uniform(-0.03, 0.03), 8) for i, d in enumerate(DOMAINS)
    }
    for t in range(150, 901, 150)
  }
  chosen = {d: max(map(int, scores), key=lambda t: scores[str(t)][d]['pass@k']['8']) for d in DOMAINS}
  put(workdir / 'probe/result.json', {'k': 8, 'scores': scores, 'chosen': chosen, 'seconds': 38.0})
  put(
    workdir / 'merge/result.json',
    {'specialists': chosen, 'k': 8, 'seconds': 9.5, 'merged': {d: summary(0.6, 8) for d in DOMAINS}},
  )


def put_rl(workdir, rng):
  for i, (name, steps) in enumerate(RL.items()):
    put_lines(
      workdir / name / 'metrics.jsonl',
      [
        {
          'step': t,
          'accuracy': 0.5 + 0.05 * i + 0.2 * t / steps + rng.gauss(0, 0.03),
          'weight': 0.7,
          'useful_groups': rng.randint(20, 32),
          'grad_norm': rng.uniform(0.2, 0.5),
          'response_tokens': 40 + 6 * i + 0.1 * t + rng.gauss(0, 1),
          'entropy': None if t == 7 else 0.3 - 0.002 * t - 0.05 * i,
          'logp_gap': rng.uniform(1e-7, 5e-7),
          'seconds/rollout': 1.9,
          'seconds/verify': 0.05,
          'seconds/verify_overlapped': 0.76,
          'seconds/train': 0.8,
          'seconds/step': 2.9,
        }
        for t in range(1, steps + 1)
      ],
    )
    domains = ('code',) if name == 'rl_code' else MATHS
    put_lines(
      workdir / name / 'examples.jsonl',
      [
        group(rng, rng.choice(domains), 0.6, 8, step=t, accuracy=0.5, weight=0.83)
        for t in (1, 10, 20, 30, 40)
        if t <= steps
        for _ in range(2)
      ],
    )
    put(
      workdir / name / 'result.json',
      {
        'steps': steps,
        'prompts': 120,
        'strength': 4.0,
        'target': 0.5,
        'seconds': 2.9 * steps + 8,
        'group_accuracy_histogram': [round(rng.uniform(40, 90) + 3 * j**2) for j in range(9)],
      },
    )


def put_evaluate(workdir, rng):
  models = {
    m: {d: summary(i and 0.5 + 0.06 * i + rng.uniform(-0.05, 0.05)) for d in DOMAINS + ('maths',)}
    for i, m in enumerate(MODELS)
  }
  put(workdir / 'evaluate/result.json', {'models': models, 'seconds': 120.0})
  for m in MODELS:
    put(
      workdir / f'evaluate/scores_{m}.json',
      {
        'domains': models[m],
        'examples': [group(rng, d, 0.0 if m == 'init' else 0.7, 4) for d in DOMAINS for _ in range(4)],
      },
    )


def make_run(workdir, seed=0):
  """A made-up full run."""
  for put_stage in (put_sft, put_probe_and_merge, put_rl, put_evaluate):
    put_stage(workdir, random.Random(seed))


class Checker(html.parser.HTMLParser):
  """Insists on balanced tags, and keeps scripts, addresses that a browser would load, and text."""

  VOID = ('meta', 'input', 'br')

  def __init__(self, page):
    super().__init__()
    self.open, self.scripts, self.loads, self.titles = [], [], [], []
    self.feed(page)
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.loads += [value for name, value in attrs if name in ('src', 'href')]
    if tag not in self.VOID:
      self.open.append(tag)
    if tag == 'script':
      self.scripts.append('')

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open and self.open[-1] == 'script':
      self.scripts[-1] += data
    if self.open and self.open[-1] == 'h2':
      self.titles.append(data)


def page_of(workdir, config=CONFIG):
  report.write(workdir, config)
  page = (workdir / 'report.html').read_text()
  return page, Checker(page)


def test_empty_workdir(tmp_path):
  page, checked = page_of(tmp_path)
  assert checked.titles == [] and checked.scripts == []
  assert page.count('not run yet') == len(CONFIG['stages']) and '0 of 7' in page
  assert 'about 0.9 million parameters' in page
  page_of(tmp_path, {'stages': ()})


def test_partial_workdir_with_a_half_written_line(tmp_path):
  put_sft(tmp_path, random.Random(0))
  step = {'step': 1, 'accuracy': 0.0, 'entropy': None, 'seconds/step': 3.0}
  put_lines(tmp_path / 'rl_code/metrics.jsonl', [step])
  with (tmp_path / 'rl_code/metrics.jsonl').open('a') as file:
    file.write('{"step": 2, "accu')
  page, checked = page_of(tmp_path)
  assert checked.titles == ['Supervised fine-tuning: sft', 'Reinforcement learning', 'Where the time went']
  assert '1 of 7' in page and 'step 1</td>' in page and page.count('not run yet') == 5
  assert '>3.6 min</td>' in page and '>3 s</td>' in page  # the result's seconds, and a step's


def test_full_page(tmp_path):
  make_run(tmp_path)
  page, checked = page_of(tmp_path)
  assert 'beside the sampler during 40.0% of the rollout' in page
  assert checked.titles == [
    'Result: from base to the last stage',
    'Supervised fine-tuning: sft',
    'Checkpoints by subdomain: probe',
    'Reinforcement learning',
    'How hard the groups were',
    'Where the time went',
    'Sampled responses',
  ]
  assert page.count('role="img"') == 2 + len(DOMAINS) + len(report.RL_PANELS) + len(RL)
  assert len(page) < 2_000_000 and checked.loads == [] and 'url(' not in page
  assert 'nan' not in page.lower().split('<script')[0]
  groups = json.loads(checked.scripts[0])
  assert len(groups) == 10 + 10 + 6 + 20 * len(MODELS)
  assert {g['source'] for g in groups} >= {'base, evaluate', 'SFT merged, evaluate', 'rl_code, training'}
  assert next(g for g in groups if g['source'].startswith('rl_math_16k'))['weight'] == 0.83
  chosen = json.loads((tmp_path / 'probe/result.json').read_text())['chosen']
  assert all(f'{domain}: step {step} chosen' in page for domain, step in chosen.items())


def test_hostile_text_is_only_text(tmp_path):
  make_run(tmp_path)
  hostile = group(random.Random(0), HOSTILE, 1.0, 2, step=1, accuracy=float('nan'), weight=None)
  hostile |= {'prompt': HOSTILE, 'answer': HOSTILE}
  hostile['responses'][0]['text'] = HOSTILE
  put_lines(tmp_path / 'rl_code/examples.jsonl', [hostile])
  result = json.loads((tmp_path / 'evaluate/result.json').read_text())
  name = '<b>"&</script>'
  result['models'][name] = {name: summary(0.5)}
  put(tmp_path / 'evaluate/result.json', result)
  probed = json.loads((tmp_path / 'probe/result.json').read_text())
  probed['chosen'][name] = 150
  for scores in probed['scores'].values():
    scores[name] = scores['code']
  put(tmp_path / 'probe/result.json', probed)
  page, checked = page_of(tmp_path)
  assert len(checked.scripts) == 2 and page.count('</script>') == 2
  (read,) = [g for g in json.loads(checked.scripts[0]) if g['source'].startswith('rl_code, training')]
  assert read['prompt'] == read['answer'] == read['domain'] == read['responses'][0]['text'] == HOSTILE
  assert read['accuracy'] is None
  assert name not in page and '&lt;b&gt;' in page and name not in report.text(0, 0, name)
  # The script must not hand any of it to the HTML parser either.
  assert not re.search(r'innerHTML|outerHTML|insertAdjacent|document\.write', checked.scripts[1])


def test_page_stays_small(tmp_path):
  make_run(tmp_path)
  put_lines(
    tmp_path / 'rl_code/examples.jsonl',
    [
      {
        **group(random.Random(t), 'code', 0.5, 16, step=t),
        'responses': [{'text': f'begin {"x<" * 20_000} end', 'reward': 1, 'tokens': 9}] * 16,
      }
      for t in range(1, 40)
    ],
  )
  put_lines(tmp_path / 'rl_math_16k/metrics.jsonl', [{'step': t, 'entropy': t} for t in range(1, 20_001)])
  page, checked = page_of(tmp_path)
  assert len(page) < 2_000_000 and 'more groups are in the files' in page
  assert max(map(len, re.findall(r' d="([^"]*)"', page))) < 13 * (report.POINTS + 1)
  kept = [g for g in json.loads(checked.scripts[0]) if g['source'].startswith('rl_code, training')]
  for response in kept[0]['responses']:
    assert re.fullmatch(r'begin [x<]+\n\[\.{3} [\d,]+ characters left out \.{3}]\n[x<]+ end', response['text'])


def test_old_page_survives_a_failure(tmp_path, monkeypatch):
  page_of(tmp_path)
  old = (tmp_path / 'report.html').read_text()
  make_run(tmp_path)
  monkeypatch.setattr(report, 'render', lambda *_: 'cut off \ud800')  # fails only while it is being written
  with pytest.raises(UnicodeEncodeError):
    report.write(tmp_path, CONFIG)
  monkeypatch.undo()
  (tmp_path / 'probe/result.json').write_text('{"k": 8, "scores": {')
  with pytest.raises(json.JSONDecodeError):
    report.write(tmp_path, CONFIG)
  assert (tmp_path / 'report.html').read_text() == old
  assert not list(tmp_path.glob('*.tmp'))


def test_table():
  models = {
    'init': {d: summary(0.0) for d in DOMAINS + ('maths',)},
    'rl_math_16k': {d: summary(0.623, half=0.0214) for d in DOMAINS + ('maths',)},
  }
  lines = report.table(models, 4).splitlines()
  assert lines[1].split() == ['model', *DOMAINS[:4], 'maths', 'code', 'maths', '@4', 'code', '@4']
  at_4 = f'{100 * (1 - 0.377**4**0.6):.1f}'
  assert re.split(r'  +', lines[3]) == ['rl_math_16k', *['62.3'] * 4, *['62.3 [60.2, 64.4]'] * 2, at_4, at_4]
  assert re.split(r'  +', lines[2])[:6] == ['init', *['0.0'] * 4, '0.0 [0.0, 2.5]']
  assert len(set(map(len, lines[1:]))) == 1 and max(map(len, lines)) <= 120
  more = {'combinatorics': summary(1.0)} | models['rl_math_16k']
  wide = report.table({'a_rather_long_name_of_a_stage': more}, 4)
  assert max(map(len, wide.splitlines())) <= 120 and '[' not in wide.splitlines()[2] and '62.3' in wide
  assert report.table({'init': {'maths': {'pass@1': 0.5}}}, 4).splitlines()[1].split() == [
    'model',
    'maths',
  ]  # no Pass@4


def test_table_of_files():
  """SVAMP: a column for each type, the total over all problems with its interval, no Pass@k where nothing has one."""
  types = {'Addition': summary(0.25), 'Subtraction': summary(0.75), report.TOTAL: summary(0.6, half=0.1)}
  head, names, line = report.table({'sft': types}, 4).splitlines()
  assert re.split(r'  +', names) == ['model', 'Addition', 'Subtraction', 'all problems', 'all problems @4']
  assert re.split(r'  +', line)[:4] == ['sft', '25.0', '75.0', '60.0 [50.0, 70.0]'] and head.endswith('@4: Pass@4')
  assert '@' not in report.table({'sft': types}, 1).replace('Pass@1 in percent', '')
  head, names, line = report.table(
    {'sft': {'math500.jsonl': summary(0.5)}}, 4
  ).splitlines()  # one domain is its own total
  assert names.split() == ['model', 'math500.jsonl', 'math500.jsonl', '@4'] and '[47.5, 52.5]' in line
  many = report.table({name: {f'subject {i}': summary(0.5) for i in range(57)} | types for name in ('init', 'sft')}, 4)
  lines = many.splitlines()
  assert lines[1].split() == ['model', 'init', 'sft'] and len(lines) == 1 + 1 + 57 + 4 and max(map(len, lines)) <= 120
  assert lines[-2].split() == ['all', 'problems', '60.0', '60.0'] and lines[-1].split()[:3] == ['all', 'problems', '@4']


def test_page_of_files(tmp_path):
  """Two stages of the same models: each table is named, has its total, and announces Pass@k only where there is one."""
  evaluate = {'program': 'evaluate', 'models': ('sft',)}
  config = {'stages': ('svamp', 'once'), 'svamp': evaluate, 'once': evaluate}
  for name, k in (('svamp', 4), ('once', 1)):
    scores = {domain: summary(p, k) for domain, p in (('Addition', 0.25), ('Addtion', 0.75), (report.TOTAL, 0.5))}
    put(tmp_path / name / 'result.json', {'models': {'sft': scores}, 'seconds': 1.0})
  page, checked = page_of(tmp_path, config)
  assert checked.titles[:2] == [f'Result: from base to the last stage, {name}' for name in ('svamp', 'once')]
  first, second = page.split('<h2>')[1:3]
  for part in (first, second):
    heads = re.findall(r'<th[^>]*>([^<]*)</th>', part.split('<tbody>')[0])
    assert [heads.count(x) for x in ('Addition', 'Addtion')] == [1, 1] and '50.0<small> [47.5, 52.5]</small>' in part
  assert 'Pass@4, percent' in first and first.count('>all problems</th>') == 2
  assert 'Pass@1, percent' in second and 'Pass@4' not in second and 'colspan="3"' in second
  assert second.count('<h3>all problems</h3>') == 1
  assert 'A rehearsal' not in page and 'A rehearsal' in page_of(tmp_path, config | {'rehearsal': True})[0]


def test_weight_is_that_of_the_paper():
  assert report.weight(0.5, 4.0, 0.5) == 1
  assert report.weight(0.0, 4.0, 0.5) == pytest.approx(2.0**-4) == report.weight(1.0, 4.0, 0.5)
  kl = 0.25 * math.log(0.25 / 0.4) + 0.75 * math.log(0.75 / 0.6)
  assert report.weight(0.25, 2.0, 0.4) == pytest.approx(math.exp(-2 * kl))


def test_report_does_not_need_jax():
  code = 'import sys; import vibethinker_jax.eval.pages.report; sys.exit(bool({"jax", "scipy"} & set(sys.modules)))'
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_messages_are_shown_as_text():
  """Prompts of rows with a system turn are messages."""
  turns = [{'role': 'system', 'content': 'Be terse.'}, {'role': 'user', 'content': 'What is 1 + 1?'}]
  shown = report.shown('rl', group(random.Random(0), 'algebra', 0.5, 2) | {'prompt': turns}, 10_000)
  assert shown['prompt'] == 'system: Be terse.\n\nuser: What is 1 + 1?'


def test_two_merged_models_have_two_names():
  run = [report.Stage(name, 'merge', {}, {}, [], []) for name in ('merge', 'merge_hard')]
  assert [report.label(s.name, run[:1]) for s in run] == ['SFT merged', 'merge_hard']
  assert [report.label(s.name, run) for s in run] == ['merge', 'merge_hard']
