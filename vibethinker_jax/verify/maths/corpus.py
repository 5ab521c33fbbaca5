"""`python -m vibethinker_jax.verify.math`: runs the maths verifier on JSON lines of answer pairs and reward hacks."""

from __future__ import annotations

import argparse
import collections
import json

from vibethinker_jax.verify.pool import Pool

SHARE = 0.9  # of the pairs that must be right


def read(path: str) -> list[dict]:
  """The rows of a JSON lines file."""
  with open(path, encoding='utf-8') as f:
    return [json.loads(line) for line in f if line.strip()]


def response_of(answer: str) -> str:
  """An answer as a response: in a box, unless the text has a box or a thought of its own."""
  return answer if '\\boxed' in answer or '<think>' in answer else f'\\boxed{{{answer}}}'


def row_of(gold: str) -> dict:
  """What judges a response: for {"inputs", "outputs"} the tests of a program, else the answer."""
  tests = json.loads(gold) if gold.startswith('{"') else {}
  if 'inputs' not in tests:
    return {'answer': gold}
  pairs = list(zip(tests['inputs'], tests['outputs'], strict=True))
  if 'fn_name' in tests:  # one JSON argument a line
    cases = [
      {'args': [json.loads(line) for line in given.split('\n')], 'expected': json.loads(out)} for given, out in pairs
    ]
    return {'tests': {'function': tests['fn_name'], 'cases': cases}}
  return {'tests': {'cases': [{'input': given, 'output': out} for given, out in pairs]}}


def pairs(path: str, workers: int) -> int:
  """Judges {gold, answer, equal} rows; prints what is wrong and the totals; 1 on a false positive or under SHARE."""
  rows, right, false = read(path), collections.Counter(), 0
  with Pool(workers) as pool:
    verdicts = pool.verify([(response_of(row['answer']), {'answer': row['gold']}) for row in rows])
    stats = pool.stats
  for row, verdict in zip(rows, verdicts):
    correct = verdict.status == 'correct'
    right[correct == row['equal']] += 1
    false += correct and not row['equal']
    if correct != row['equal']:
      kind = 'FALSE POSITIVE' if correct else 'not accepted'
      print(
        f'{kind}: gold {row["gold"][:80]!r}, answer {row["answer"][:80]!r}: {verdict.reason} ({row.get("note", "")})'
      )
  print(
    f'{right[True]} of {len(rows)} verdicts right ({right[True] / len(rows):.1%}), {false} false positives; '
    f'{stats.timeouts} time-outs, {stats.faults} faults'
  )
  return int(false > 0 or right[True] < SHARE * len(rows))


def hacks(path: str, workers: int) -> int:
  """Judges {kind, gold, response, reward_expected} rows; 1 if any reward is another one."""
  rows, wrong = read(path), 0
  with Pool(workers) as pool:
    verdicts = pool.verify([(row['response'], row_of(row['gold'])) for row in rows])
  for row, verdict in zip(rows, verdicts):
    if (verdict.status == 'correct') != bool(row['reward_expected']):
      wrong += 1
      print(
        f'FAILED {row["kind"]}: {verdict.status}, {verdict.reason}; expected reward {row["reward_expected"]}: '
        f'{row.get("why", "")}'
      )
  print(f'{len(rows) - wrong} of {len(rows)} rewards as expected')
  return int(wrong > 0)


class Once(argparse.Action):
  """A flag that is refused when it is given twice, or without a value."""

  def __call__(self, parser, namespace, value, name=None):
    if getattr(namespace, self.dest) != self.default or value == '':
      parser.error(f'{name} is given ' + ('without a value' if value == '' else 'twice; only the last would count'))
    setattr(namespace, self.dest, value)


def main() -> int:
  parser = argparse.ArgumentParser(
    prog='python -m vibethinker_jax.verify.math',
    description='Runs the maths verifier on a corpus; exit status 1 on a failure.',
  )
  parser.add_argument(
    '--pairs', metavar='FILE', action=Once, help='JSON lines of gold, answer, equal: no false positive, 90%% right'
  )
  parser.add_argument(
    '--hacks', metavar='FILE', action=Once, help='JSON lines of gold, response, reward_expected: all as expected'
  )
  parser.add_argument('--workers', type=int, default=2, action=Once, help='processes that judge')
  options = parser.parse_args()
  if not options.pairs and not options.hacks:
    parser.error('give --pairs=FILE or --hacks=FILE')
  status = pairs(options.pairs, options.workers) if options.pairs else 0
  return (hacks(options.hacks, options.workers) if options.hacks else 0) or status
