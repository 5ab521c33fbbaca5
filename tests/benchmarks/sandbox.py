"""Programs judged per second in the sandbox, beside a bare `python -I -S` process for each. Prints one JSON line.

python tests/benchmarks/sandbox.py --workers=2

The programs are HumanEval-like: short, with one input. The bare rate is of as many processes at once, with the same
input and output and no isolation at all. Both are measured alternately, since the machine may be shared.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
import json
import statistics
import subprocess
import sys
import time

from vibethinker_jax.verify.code import outcome, programs as code
from vibethinker_jax.verify.code.sandbox import client

TESTS = {'cases': [{'input': '2 3\n', 'output': '5\n'}]}
PROGRAM = (
  'import sys, math, collections\ndef main():\n  a, b = map(int, sys.stdin.read().split())\n  print(a + b)\n'
  '# {}\nmain()\n'
)


def bare(source: str) -> bool:
  done = subprocess.run(
    [sys.executable, '-I', '-S', '-c', source], input='2 3\n', capture_output=True, text=True, timeout=10, check=False
  )
  return done.stdout == '5\n'


def rate(judge, sources: list[str], workers: int) -> float:
  """Programs per second; every one must be accepted."""
  shares = [sources[i::workers] for i in range(workers)]
  start = time.perf_counter()
  with ThreadPoolExecutor(workers) as pool:
    done = list(pool.map(lambda i: all(judge(i, source) for source in shares[i]), range(workers)))
  assert all(done)
  return len(sources) / (time.perf_counter() - start)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--programs', type=int, default=400, help='for each measurement')
  parser.add_argument('--repeats', type=int, default=5)
  flags = parser.parse_args()
  boxes = [client.Sandbox() for _ in range(flags.workers)]
  layers = [box.start() for box in boxes][0]
  sources = [PROGRAM.format(i) for i in range(flags.programs)]
  limits = outcome.Limits()
  judge = lambda i, source: code.verify(source, TESTS, limits, boxes[i]).status == 'correct'
  rate(judge, sources[:50], flags.workers)
  rates, bares = [], []
  for _ in range(flags.repeats):
    bares.append(rate(lambda i, source: bare(source), sources[: flags.programs // 2], flags.workers))
    rates.append(rate(judge, sources, flags.workers))
  alone = []
  for source in sources[:200]:
    start = time.perf_counter()
    judge(0, source)
    alone.append(time.perf_counter() - start)
  for box in boxes:
    box.close()
  print(
    json.dumps(
      {
        'benchmark': 'sandbox',
        'workers': flags.workers,
        'programs_per_second': round(statistics.median(rates)),
        'bare_python_per_second': round(statistics.median(bares)),
        'ratio': round(statistics.median(r / b for r, b in zip(rates, bares)), 2),
        'milliseconds_alone': round(statistics.median(alone) * 1e3, 2),
        'layers': [name for name, state in layers.items() if state.startswith('yes')],
      }
    )
  )


if __name__ == '__main__':
  main()
