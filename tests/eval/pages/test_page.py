"""The pages hold every problem and survive hostile text; comparisons pair what belongs together."""

import json
import re

import pytest

from vibethinker_jax.data import sources
from vibethinker_jax.eval import compare, judge, scores, sets
from vibethinker_jax.eval.pages import page, terminal
from vibethinker_jax.eval.scores import Judged

EVIL = '</script><script>alert(1)</script> <img src=x onerror=alert(2)> $x^2$ \u2028'
TIMING = {
  'seconds': 2.0,
  'responses': 4,
  'tokens': 40,
  'tokens_per_second': 20.0,
  'sessions': [{'devices': 1, 'device': 'cpu', 'slots': 8}],
}


@pytest.fixture
def chosen(tmp_path):
  rows = [{'problem': f'What is ${i}^2$?', 'answer': str(i * i), 'subject': f'kind{i % 2}'} for i in range(4)]
  path = tmp_path / 'squares.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return sets.read(sources.DataOptions(str(path)), '', sets.Protocol(2, 1.0, 0.9, 64))


def result_of(chosen, letters: list[str], text='so \\boxed{1}', **facts):
  status = {'c': 'correct', 'w': 'wrong', 'i': 'invalid'}
  judged = [[Judged(g, text, status[c], 'r', '1', 10, c == 'w') for g, c in enumerate(word)] for word in letters]
  score = {
    'score': 'avg@2',
    'files': chosen.files,
    **chosen.settings(),
    'samples_asked': 2,
    'notes': ['a note'],
    **scores.of_set(chosen.rows, judged, [1.0] * len(chosen.rows)),
  }
  result = {
    'model': {'path': '/runs/tiny', 'sha256': 'ab' * 32},
    'seed': 0,
    'jax': '0',
    'versions': sets.versions(),
    'sets': {chosen.name: score},
  } | facts
  return result, judge.lines_of(chosen, judged)


def embedded(text: str) -> dict:
  return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def test_page_of_hostile_text(tmp_path, chosen):
  result, lines = result_of(
    chosen,
    ['cw', 'ww', 'ci', 'cc'],
    EVIL,
    agreement={
      'field': 'f',
      'agree': 0,
      'responses': 1,
      'ours_correct': 0,
      'theirs_correct': 1,
      'disagreements': [
        {'set': 's', 'id': EVIL, 'sample': 0, 'status': 'wrong', 'reason': 'r', 'answer': EVIL, 'theirs': 'correct'}
      ],
    },
  )
  page.write(tmp_path, result, [chosen], lines, TIMING)
  text = (tmp_path / 'report.html').read_text()
  assert '<script>alert' not in text and '<img src=x' not in text and "default-src 'none'" in text
  assert not re.search(r'(?:src|href)="https?:', text) and 'cdn' not in text
  data = embedded(text)
  (problems,) = [s['problems'] for s in data['sets']]
  assert len(problems) == 4 and [len(p['responses']) for p in problems] == [2] * 4 and data['left_out'] == 0
  first = problems[0]['responses'][0]['text']
  source = ''.join(data['formulas'][x][0] if isinstance(x, int) else x for x in first)
  assert source == EVIL and any(isinstance(x, int) for x in first)
  assert 'a note' in text and '1 responses got no verdict' in text and 'kind1' in text


def test_the_page_says_how_was_asked(tmp_path, chosen):
  asked = chosen._replace(system='Be terse.', prefix='<think>\n')
  result, lines = result_of(asked, ['cw', 'ww', 'ci', 'cc'])
  result['model'] |= {'chat_template': 'ab' * 32, 'chat_template_kwargs': {'enable_thinking': False}}
  page.write(tmp_path, result, [asked], lines, TIMING)
  text = (tmp_path / 'report.html').read_text()
  assert all(part in text for part in ('system turn: Be terse.', 'responses begin with', 'enable_thinking', 'abab'))
  other = result_of(chosen._replace(prefix='So'), ['cw', 'ww', 'ci', 'cc'])[0]
  notes = compare.result([compare.Evaluation(name, tmp_path, r) for name, r in (('a', result), ('b', other))])['sets'][
    'squares'
  ]['notes']
  assert notes == ["b: system=None, a: 'Be terse.'", "b: prefix='So', a: '<think>\\n'"]


def test_page_without_tokens(tmp_path, chosen):
  result, lines = result_of(chosen, ['c', 'w', 'i', 'i'])
  for line in lines:
    line['tokens'] = line['cut_off'] = None
  score = result['sets']['squares']
  score.update(tokens=None, tokens_correct=None, tokens_wrong=None, cut_off=None, cons=None)
  del result['model']
  page.write(tmp_path, result | {'responses': 'x.jsonl'}, [chosen], lines, TIMING | {'sessions': []})
  assert 'characters of a response' in (tmp_path / 'report.html').read_text()


def test_much_text_is_shortened(tmp_path, chosen, monkeypatch):
  monkeypatch.setattr(page, 'TEXT_BYTES', 8000)
  result, lines = result_of(chosen, ['cccccccw'] * 4, 'long $y$ ' * 2000)
  page.write(tmp_path, result, [chosen], lines, TIMING)
  text = (tmp_path / 'report.html').read_text()
  data = embedded(text)
  assert len(text) < 100_000 and data['left_out'] == 4 * 5
  kept = [r['status'] for r in data['sets'][0]['problems'][0]['responses']]
  assert sorted(kept) == ['correct', 'correct', 'wrong']  # the one of eight that is wrong is there


def test_terminal(chosen):
  text = terminal.table(result_of(chosen, ['cw', 'ww', 'ci', 'cc'])[0], TIMING)
  assert 'squares, avg@2' in text and 'kind1' in text and 'note: a note' in text and '20 tokens/s' in text
  assert '1 responses got no verdict (1 r)' in text


def test_comparison(tmp_path, chosen):
  paths = []
  for name, letters in (('old', ['cw', 'ww', 'ww', 'cc']), ('new', ['cc', 'cw', 'ww', 'cw'])):
    paths.append(tmp_path / name)
    paths[-1].mkdir()
    result, lines = result_of(chosen, letters)
    (paths[-1] / 'result.json').write_text(json.dumps(result))
    page.write(paths[-1], result, [chosen], lines, TIMING)
  evaluations = compare.read(paths, ['old', 'new'])
  found = compare.result(evaluations)
  change = found['sets']['squares']['differences']['new']
  assert change['value'] == pytest.approx(0.125) and (change['better'], change['worse'], change['equal']) == (2, 1, 1)
  page.write_comparison(tmp_path, [(e.name, e.directory) for e in evaluations], found)
  text = (tmp_path / 'comparison.html').read_text()
  assert 'href="new/report.html"' in text and '2 / 1 / 1' in text and 'solve differently often: 3' in text
  assert '+12.5' in terminal.comparison(found)


def test_comparison_of_other_sets(tmp_path, chosen):
  result, _ = result_of(chosen, ['cw', 'ww', 'ww', 'cc'])
  other = json.loads(json.dumps(result))
  other['sets']['squares'].update(digest='else', temperature=0.0)
  found = compare.result([compare.Evaluation('a', tmp_path, result), compare.Evaluation('b', tmp_path, other)])
  assert len(found['sets']['squares']['notes']) == 2
  other['sets'] = {'cubes': other['sets']['squares']}
  with pytest.raises(ValueError, match='no set is in two'):
    compare.result([compare.Evaluation('a', tmp_path, result), compare.Evaluation('b', tmp_path, other)])
  with pytest.raises(ValueError, match='no finished evaluation'):
    compare.read([tmp_path], ['a'])
