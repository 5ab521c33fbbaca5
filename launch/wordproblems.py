#!/usr/bin/env python3
"""The arithmetic word problems of configs/wordproblems.py: MAWPS and ASDiv-A, two worked paths a problem, and SVAMP.

  python launch/wordproblems.py data/wordproblems

Reads train.csv (MAWPS and ASDiv-A) and SVAMP.json of github.com/arkilpatel/SVAMP at a fixed commit, the usual split
(Patel et al., 2021, arXiv 2103.07191), and writes sft.jsonl, probe.jsonl, rl.jsonl, held_out.jsonl and svamp.jsonl. The
`domain` of a row is its operation, of the two test sets their name. The code of that repository is MIT, the problems of
ASDiv are CC BY-NC 4.0.
"""

import collections
import csv
import hashlib
import io
import json
import pathlib
import re
import sys

import fsspec

SOURCE = 'https://raw.githubusercontent.com/arkilpatel/SVAMP/689d7ccac74b9983a2ac7cc3b264f441b99e7c53/'
FILES = ('data/mawps-asdiv-a_svamp/train.csv', 'SVAMP.json')
NAMES = {'+': 'addition', '-': 'subtraction', '*': 'multiplication', '/': 'division'}
APPLY = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b, '/': lambda a, b: a / b}
ALIKE = 0.4  # held-out problems nearer to one of training are left out: many differ from another in a name alone
# Of 20 parts of the problems; what is left is for RL, and for SFT, whose paths it does not see.
PARTS = {'held_out': range(3), 'probe': range(3, 6), 'rl': range(6, 20), 'sft': range(6, 20)}


def number(value: float) -> str:
  """'504', '22.84', '0.333333'."""
  return f'{round(value, 6):.6f}'.rstrip('0').rstrip('.')


def steps(prefix: list[str], numbers: list[float]) -> tuple[list[tuple[str, str]], float]:
  """([('26 + 15', '41'), ...], value) of an equation in prefix notation, the inner operations first.

  Raises:
    ValueError: it is no equation of +, -, *, /, numbers and number0, number1, ...; ZeroDivisionError.
  """
  found, rest = [], iter(prefix)

  def value() -> float:
    token = next(rest, '')
    if token in APPLY:
      a, b = value(), value()
      found.append((f'{number(a)} {token} {number(b)}', number(APPLY[token](a, b))))
      return APPLY[token](a, b)
    named = re.fullmatch(r'number(\d+)', token)
    return numbers[int(named[1])] if named else float(token)

  total = value()
  if next(rest, None) is not None:
    raise ValueError(f'{" ".join(prefix)} goes on after its end')
  return found, total


def text_of(question: str, numbers: list[float]) -> str:
  """The problem as it is printed: with its numbers, no blanks before marks."""
  question = question[:1].upper() + question[1:]
  filled = re.sub(r'number(\d+)', lambda found: number(numbers[int(found[1])]), question)
  return re.sub(r" +([.,?!;:%)]|'s\b)", r'\1', filled).replace('( ', '(').strip()


def paths(row: dict[str, str]) -> list[dict[str, str]]:
  """Two rows with worked solutions of one of the CSV; none where its equation is not worth its answer."""
  numbers = [float(x) for x in row['Numbers'].split()]
  try:
    worked, value = steps(row['Equation'].split(), numbers)
  except (ValueError, IndexError, ZeroDivisionError):
    return []
  if not worked or abs(value - float(row['Answer'])) > 1e-4 * max(1, abs(value)):
    return []
  used = {line.split()[1] for line, _ in worked}
  domain = NAMES[used.pop()] if len(used) == 1 else 'several'
  lines = '\n'.join(f'{line} = {result}' for line, result in worked)
  answer = lines.rpartition(' = ')[2]
  plan = 'We need ' + ', then '.join(line for line, _ in worked) + '.\n'
  problem = {'problem': text_of(row['Question'], numbers), 'answer': answer, 'domain': domain}
  return [problem | {'response': f'{before}{lines}\n\\boxed{{{answer}}}'} for before in ('', plan)]


def words(problem: str) -> list[str]:
  """In small letters, without numbers and marks."""
  return re.findall('[a-z]+', problem.lower())


def part(problem: str) -> int:
  """Of 20, by the words: problems that differ in their numbers alone are in one part."""
  return int(hashlib.sha256(' '.join(words(problem)).encode()).hexdigest(), 16) % 20


def fours(problem: str) -> set[tuple[str, ...]]:
  found = words(problem)
  return set(zip(*(found[i:] for i in range(4)))) or {tuple(found)}


def unlike(problems: list[str], training: list[str]) -> set[str]:
  """Those that share less than ALIKE of their four-word sequences (Jaccard) with each training problem."""
  theirs, known = {}, [fours(x) for x in training]
  for i, of in enumerate(known):
    for four in of:
      theirs.setdefault(four, []).append(i)
  result = set()
  for problem in problems:
    mine = fours(problem)
    shared = collections.Counter(i for four in mine for i in theirs.get(four, ()))
    if all(count < ALIKE * len(mine | known[i]) for i, count in shared.items()):
      result.add(problem)
  return result


def main(directory: pathlib.Path) -> None:
  texts = []
  for file in FILES:
    with fsspec.open(SOURCE + file, 'rt', encoding='utf-8') as opened:
      texts.append(opened.read())
  rows = {}
  for row in csv.DictReader(io.StringIO(texts[0])):
    if (found := paths(row)) and found[0]['problem'] not in rows:
      rows[found[0]['problem']] = found
  sets = {name: [r for p, found in rows.items() if part(p) in of for r in found] for name, of in PARTS.items()}
  kept = unlike(
    [r['problem'] for name in ('held_out', 'probe') for r in sets[name]], [r['problem'] for r in sets['rl'][::2]]
  )
  for name in ('held_out', 'probe'):
    sets[name] = [row for row in sets[name] if row['problem'] in kept]
  for name in ('held_out', 'probe', 'rl'):
    sets[name] = [{k: v for k, v in row.items() if k != 'response'} for row in sets[name][::2]]
  sets['held_out'] = [row | {'domain': 'held_out'} for row in sets['held_out']]
  sets['svamp'] = [
    {
      'problem': f'{row["Body"].strip().rstrip(".")}. {row["Question"].strip()}',
      'answer': number(row['Answer']),
      'domain': 'svamp',
    }
    for row in json.loads(texts[1])
  ]
  directory.mkdir(parents=True, exist_ok=True)
  for name, found in sets.items():
    (directory / f'{name}.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in found))
    print(f'{directory / name}.jsonl: {len(found)} rows')


if __name__ == '__main__':
  if len(sys.argv) != 2:
    sys.exit('usage: python launch/wordproblems.py DIRECTORY')
  main(pathlib.Path(sys.argv[1]))
