"""configs/tiny.py at toy size with a verifier that flips a coin; also a process that can be killed.

  python tests/programs/toy.py WORKDIR STAGES [STAGE:STEP[:HOST:FAULT]]

STAGES: comma-separated. STAGE:STEP: die there. FAULT: what that host does before the step, see `fault`.
"""

from concurrent.futures import Future
import importlib.util
import os
import pathlib
import signal
import sys
import time
import zlib

CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'tiny.py'


class CoinPool:
  """Like verify.pool.Pool without processes: a hash of the response decides; a few have no verdict."""

  def __init__(self, *_, **__):
    self.judged, self.first_fault = 0, ''

  def __enter__(self):
    return self

  def __exit__(self, *_):
    print(f'judged {self.judged}', file=sys.stderr)

  def check(self):
    pass

  def submit(self, response, row):
    self.judged += 1
    from vibethinker_jax.verify.verdict import Verdict

    coin = zlib.crc32((response + row['id']).encode()) % 20
    future = Future()
    status = 'invalid' if coin == 0 else 'correct' if coin < 10 else 'wrong'
    future.set_result(Verdict(status, 'coin'))
    return future


def config() -> dict:
  """The tiny recipe with every size made small."""
  spec = importlib.util.spec_from_file_location('tiny', CONFIG)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  c = module.get_config()
  c.model.update(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=24
  )
  c.tokenizer.update(vocab_size=400, problems=300)
  sampler = dict(max_tokens=12, slots=32, steps_per_call=6, columns=160, prompt_columns=144)
  c.sft.update(problems=1000, steps=6, batch_size=8, streams=2, length=256, checkpoint_steps=2, log_steps=1)
  c.probe.update(problems=3, samples=2, k=2)
  for name in ('rl_math_16k', 'rl_math_32k', 'rl_code'):
    c[name].update(
      problems=8,
      steps=5,
      prompts=4,
      group=4,
      filter_samples=4,
      row_length=160,
      micro_batch=8,
      checkpoint_steps=2,
      examples_steps=2,
    )
  c.rl_math_32k.update(shortest_row=40)
  c.rl_code.update(share_prompts=True, moments_dtype='bfloat16')
  c.evaluate.update(problems=3, samples=2, ks=(1, 2), examples=1)
  for name in c.stages:
    if 'sampler' in c[name]:
      c[name].sampler.update(sampler)
  return c.to_dict()


def rewarded(verifier: str, stage=(), **change) -> dict:
  """One stage of RL of a random model on rewards of one's own, of two steps."""
  c = config()
  c['stages'] = ('rl',)
  c['rl'] = (
    c.pop('rl_math_16k')
    | dict(init_from='scratch', filter_samples=0, prompts=3, group=4, problems=4, max_rounds=1, warmup_steps=0, steps=2)
    | dict(stage)
  )
  for name in ('sft', 'probe', 'merge', 'rl_math_32k', 'rl_code', 'evaluate'):
    del c[name]
  c['rl']['sampler'] |= dict(max_tokens=5, slots=16, steps_per_call=5)
  c['verify'] |= dict(workers=1)
  return c | dict(verifier=verifier) | change


def die_at(stage: str, step: int) -> None:
  """SIGKILL in the middle of writing that step's line of metrics: nothing is flushed, no handler runs."""
  from vibethinker_jax.runtime import metrics

  write = metrics.Writer.write

  def deadly(self, at, scalars):
    if (self._directory.name, at) == (stage, step):
      self._file.write(b'{"step": %d, "ti' % at)
      os.kill(os.getpid(), signal.SIGKILL)
    write(self, at, scalars)

  metrics.Writer.write = deadly


def fault(kind: str) -> None:
  if kind == 'raise':
    raise RuntimeError('the cat ate it')
  os.kill(os.getpid(), {'kill': signal.SIGKILL, 'stop': signal.SIGSTOP, 'term': signal.SIGTERM}[kind])
  if kind == 'term':
    time.sleep(5)  # JAX looks for the signal once a second: the two steps that are left may be faster


def fail_at(stage: str, step: int, host: int, kind: str) -> None:
  from vibethinker_jax.runtime import hosts

  reach = hosts.reach

  def faulty(what):
    if (what, hosts.index()) == (f'{stage} step {step}', host):
      fault(kind)
    reach(what)

  hosts.reach = faulty


if __name__ == '__main__':
  os.environ['JAX_PLATFORMS'] = 'cpu'
  import jax

  jax.config.update('jax_num_cpu_devices', int(os.environ.get('JAX_NUM_CPU_DEVICES', 2)))
  jax.config.update('jax_disable_most_optimizations', True)
  from vibethinker_jax import main
  from vibethinker_jax.runtime import hosts, storage, watch

  hosts.connect()
  main.Pool = CoinPool
  for at in sys.argv[3:]:
    stage, step, *who = at.split(':')
    if who:
      fail_at(stage, int(step), int(who[0]), who[1])
    else:
      die_at(stage, int(step))
  with watch.guard(), storage.staged(sys.argv[1], 'WORKDIR', hosts.first()) as workdir:
    main.run(config(), workdir, tuple(sys.argv[2].split(',')))
