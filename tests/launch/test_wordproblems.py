"""Rows of the word problems from files of the published form, invented here."""

import csv
import importlib.util
import json
import pathlib

import pytest

spec = importlib.util.spec_from_file_location(
  'wordproblems', pathlib.Path(__file__).parents[2] / 'launch' / 'wordproblems.py'
)
wordproblems = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wordproblems)


def word(i):
  return ''.join('abcdefghij'[int(digit)] for digit in str(i)) + 'x'


def row(equation, answer, question='ann has number0 red pens , number1 blue ones and number2 caps . How many ?'):
  return {'Question': question, 'Numbers': '7.0 2.5 4.0', 'Equation': equation, 'Answer': str(answer)}


def test_two_paths_of_a_problem():
  short, long = wordproblems.paths(row('- number0 * number1 number2', -3))
  assert short == {
    'problem': 'Ann has 7 red pens, 2.5 blue ones and 4 caps. How many?',
    'answer': '-3',
    'domain': 'several',
    'response': '2.5 * 4 = 10\n7 - 10 = -3\n\\boxed{-3}',
  }
  assert long == short | {'response': 'We need 2.5 * 4, then 7 - 10.\n' + short['response']}
  (one, _) = wordproblems.paths(row('/ number0 100.0', 0.07))
  assert (one['answer'], one['domain']) == ('0.07', 'division')


@pytest.mark.parametrize(
  'equation, answer',
  [
    ('- number0 number1', 4),  # another answer
    ('+ number0', 7),  # ends too early
    ('+ number0 number1 number2', 9.5),  # goes on
    ('+ number0 number9', 7),
    ('/ number0 0.0', 7),
    ('number0', 7),  # nothing to work out
  ],
)
def test_what_is_wrong_is_left_out(equation, answer):
  assert wordproblems.paths(row(equation, answer)) == []


def test_files(tmp_path, monkeypatch):
  source = tmp_path / 'source'
  (source / 'data/mawps-asdiv-a_svamp').mkdir(parents=True)
  rows = [
    row('+ number0 number1', 9.5, f'{word(i)} has number0 of {word(3 * i)} , number1 of {word(7 * i)} . How many ?')
    for i in range(1, 201)
  ]
  with open(source / wordproblems.FILES[0], 'w', newline='') as file:
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows + rows[:5])  # some twice
  challenge = {'Body': 'Ann had 3 pens', 'Question': 'How many?', 'Answer': 3.0, 'Type': 'Common-Divison'}
  (source / 'SVAMP.json').write_text(json.dumps([challenge]))
  monkeypatch.setattr(wordproblems, 'SOURCE', f'{source}/')
  wordproblems.main(tmp_path / 'out')
  read = lambda name: [json.loads(line) for line in (tmp_path / f'out/{name}.jsonl').read_text().splitlines()]
  assert read('svamp') == [{'problem': 'Ann had 3 pens. How many?', 'answer': '3', 'domain': 'svamp'}]
  problems = {name: {r['problem'] for r in read(name)} for name in wordproblems.PARTS}
  assert len(read('sft')) == 2 * len(problems['sft']) and problems['sft'] == problems['rl']
  assert len(problems['held_out'] | problems['probe'] | problems['rl']) == 200 and len(problems['held_out']) > 10
  assert not problems['held_out'] & problems['rl'] and not problems['probe'] & (problems['rl'] | problems['held_out'])
  assert {r['domain'] for r in read('held_out')} == {'held_out'} and {r['domain'] for r in read('probe')} == {
    'addition'
  }
  assert all('response' in r for r in read('sft')) and not any('response' in r for r in read('rl'))


def test_problems_that_were_seen_are_not_held_out():
  seen = ['Ann had 3 red pens and gave 2 of them to her brother Tom. How many has she now?']
  assert wordproblems.part(seen[0]) == wordproblems.part(
    'ann had 30 red pens and gave 9 of them to her brother tom; how many has she now'
  )
  alike = 'Sue had 5 red pens and gave 1 of them to her brother Max. How many has she now?'
  other = 'A train goes 30 miles an hour. How far is it after 4 hours?'
  assert wordproblems.unlike([alike, other, *seen], seen) == {other}
