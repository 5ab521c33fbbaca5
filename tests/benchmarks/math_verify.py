"""The maths verifier on real model outputs: agreement, the fast path's share, time a check. Prints one JSON line.

python tests/benchmarks/math_verify.py --data=DIR --workers=2

DIR holds outputs_*.jsonl.gz with output, gold and score_qwen_eval (the verdict of another grader), one row a response.
"""

import argparse
import glob
import gzip
import json
import sys
import time

del sys.path[0]  # this folder: the workers would import this file instead of the library of its name

from vibethinker_jax.verify.maths import extract
from vibethinker_jax.verify.parts import parse
from vibethinker_jax.verify.pool import Pool


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--data', required=True)
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--show', action='store_true', help='print the rows on which the verdicts differ, to stderr')
  flags = parser.parse_args()
  rows = []
  for path in sorted(glob.glob(f'{flags.data}/outputs_*.jsonl.gz')):
    with gzip.open(path, 'rt', encoding='utf-8') as f:
      rows += [json.loads(line) for line in f]
  pairs = [(row['output'], {'answer': str(row['gold'])}) for row in rows]
  with Pool(workers=flags.workers) as pool:
    pool.verify([('\\boxed{\\sqrt{%d}}' % i, {'answer': 'x+1'}) for i in range(2, 2 + 8 * flags.workers)])
    pool.verify(
      [('\\boxed{\\int_0^{1} x^5 e^{x}\\, dx}', {'answer': '\\int_0^{1} e^{t} t^5\\, dt'})]
    )  # all have started, the slow lane too
    fast, slow = pool.stats.fast, pool.stats.slow
    start = time.perf_counter()
    verdicts = pool.verify(pairs)
    seconds = time.perf_counter() - start
    stats = pool.stats
  correct, theirs = [v.status == 'correct' for v in verdicts], [bool(row['score_qwen_eval']) for row in rows]
  boxed = [
    extract.answer_of(parse(row['output'])) is not None for row in rows
  ]  # theirs also takes a number from the text
  if flags.show:
    for row, verdict, their in zip(rows, verdicts, theirs):
      if (verdict.status == 'correct') != their:
        print(
          f'{row["model"]} {row["idx"]}: gold {row["gold"]!r}, they took {row["pred"]!r} as {their}; '
          f'{verdict.reason}; ...{row["output"][-120:]!r}',
          file=sys.stderr,
        )
  print(
    json.dumps(
      {
        'benchmark': 'math_verify',
        'outputs': len(rows),
        'workers': flags.workers,
        'correct': sum(correct),
        'agreement': round(sum(a == b for a, b in zip(correct, theirs)) / len(rows), 4),
        'with_a_usable_box': sum(boxed),
        'agreement_of_these': round(sum(a == b for a, b, box in zip(correct, theirs, boxed) if box) / sum(boxed), 4),
        'accepted_alone': sum(a and not b for a, b in zip(correct, theirs)),
        'rejected_alone': sum(b and not a for a, b in zip(correct, theirs)),
        'fast_share': round((stats.fast - fast) / len(rows), 4),
        'milliseconds': round(seconds * 1e3 / len(rows), 3),
        'slow': stats.slow - slow,
        'timeouts': stats.timeouts,
        'faults': stats.faults,
      }
    )
  )


if __name__ == '__main__':
  main()
