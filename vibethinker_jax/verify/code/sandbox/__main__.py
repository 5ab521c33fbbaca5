"""What the sandbox can do on this machine, and whether it holds.

python -m vibethinker_jax.verify.code.sandbox --check
python -m vibethinker_jax.verify.code.sandbox --corpus=DIR --parallel=8 --repeat=2
"""

import argparse
import os
import sys

from vibethinker_jax.verify.code import corpus
from vibethinker_jax.verify.code.sandbox import client


def check() -> int:
  """Prints the table of layers; 1 if programs cannot be run safely here."""
  try:
    box = client.Sandbox()
    layers = box.start()
  except (client.SandboxUnavailable, ValueError) as e:
    print(e, file=sys.stderr)
    return 1
  box.close()
  unsafe = os.environ.get(client.UNSAFE) == '1'
  print('NO SANDBOX, resource limits only:' if unsafe else 'The sandbox works here. Its layers:')
  print(client.table(client.probes() | layers))
  return int(unsafe)


def main() -> int:
  parser = argparse.ArgumentParser(
    prog='python -m vibethinker_jax.verify.code.sandbox',
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument('--check', action='store_true', help='print which layers are active on this machine')
  parser.add_argument('--corpus', metavar='DIR', help='run the hostile DIR/programs/*.py and honest DIR/controls/*.py')
  parser.add_argument('--parallel', type=int, help='how many programs run at once; default 1')
  parser.add_argument(
    '--repeat', type=int, help='how often every program runs, default 2: a second run must see nothing of the first'
  )
  options = parser.parse_args()
  if not options.check and not options.corpus:
    parser.error('give --check or --corpus=DIR')
  for name in ('parallel', 'repeat'):
    if getattr(options, name) is not None and not options.corpus:
      parser.error(f'--{name} does nothing with --check: it is for the programs of --corpus=DIR')
  status = check() if options.check else 0
  if options.corpus and not status:
    try:
      status = corpus.main(options.corpus, options.parallel or 1, options.repeat or 2)
    except ValueError as e:
      parser.error(str(e))
  return status


if __name__ == '__main__':
  sys.exit(main())
