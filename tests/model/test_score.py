"""Chunked, sharded log-probabilities and entropies against a plain log_softmax."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vibethinker_jax.model import score

B, L, D, V = 8, 12, 16, 40
MESHES = [(8, 1, 1, 1), (1, 8, 1, 1), (2, 2, 2, 1), (1, 2, 4, 1), (2, 1, 2, 2)]


def plain(x, head, targets):
  log_p = jax.nn.log_softmax(jnp.einsum('BLD,DV->BLV', x, head), axis=-1)
  return jnp.take_along_axis(log_p, targets[..., None], -1)[..., 0], -jnp.sum(jnp.exp(log_p) * log_p, -1)


def with_gradients(function):
  """(logp, entropy, dx, dhead) for cotangents of both outputs."""

  def all_of(x, head, targets, d_logp, d_entropy):
    out, pull = jax.vjp(lambda x, head: function(x, head, targets), x, head)
    return *out, *pull((d_logp, d_entropy))

  return jax.jit(all_of)


@pytest.fixture(scope='module')
def inputs():
  rng = np.random.default_rng(0)
  normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
  targets = rng.integers(0, V, (B, L)).astype(np.int32)
  return normal(B, L, D), normal(D, V), targets, normal(B, L), normal(B, L)


@pytest.fixture(scope='module')
def expected(inputs):
  return with_gradients(plain)(*inputs)


def same(found, expected):
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5 * max(1.0, float(np.abs(b).max())), rtol=0)


@pytest.mark.parametrize('chunk', [1, 7, 32, 96, 1000])
def test_equals_log_softmax_with_gradients(inputs, expected, chunk):
  same(with_gradients(lambda *args: score.token_scores(*args, chunk))(*inputs), expected)


@pytest.mark.parametrize('floats', [1, 50, 170, 500])
@pytest.mark.parametrize('tied', [False, True])
def test_in_small_parts_and_with_the_embedding_as_head(monkeypatch, inputs, expected, tied, floats):
  """The head's gradient in parts of rows, the last one shorter; positions in chunks that follow from the vocabulary."""
  monkeypatch.setattr(score, 'CPU_CHUNK', floats)
  x, head, targets, *d = inputs
  found = with_gradients(lambda *args: score.token_scores(*args, 0, tied))(x, head.T if tied else head, targets, *d)
  same((*found[:3], found[3].T if tied else found[3]), expected)


def test_each_output_has_its_own_gradient(inputs, expected):
  """With one cotangent zero the gradient is that of the other output alone."""
  x, head, targets, d_logp, d_entropy = inputs
  chunked, reference = with_gradients(lambda *args: score.token_scores(*args, 20)), with_gradients(plain)
  for cotangents in ((d_logp, 0 * d_entropy), (0 * d_logp, d_entropy)):
    same(chunked(x, head, targets, *cotangents), reference(x, head, targets, *cotangents))


@pytest.mark.parametrize('sizes', MESHES, ids=str)
def test_same_under_every_mesh(inputs, expected, mesh_of, sizes):
  x, head, targets, *d = inputs
  with jax.set_mesh(mesh_of(*sizes)):
    tied = with_gradients(lambda *args: score.token_scores(*args, 5, True))(x, head.T, targets, *d)
    same((*tied[:3], tied[3].T), expected)
    function = with_gradients(lambda *args: score.token_scores(*args, 5))
    found = function(*inputs)
    same(found, expected)
    if sizes[2] > 1:  # no device holds logits of the whole vocabulary
      text = function.lower(*inputs).compile().as_text()
      assert f'f32[5,{V // sizes[2]}]' in text and f'f32[5,{V}]' not in text


def test_extreme_logits_stay_finite(inputs):
  x, head, targets, d_logp, d_entropy = inputs
  function = with_gradients(lambda *args: score.token_scores(*args, 7))
  found = function(1e4 * x, head, targets, d_logp, d_entropy)
  assert all(np.isfinite(a).all() for a in found)
  assert (np.asarray(found[1]) > -1e-2).all()


def test_bfloat16_inputs_float32_results(inputs):
  x, head, targets, d_logp, d_entropy = inputs
  low = lambda a: jnp.asarray(a, jnp.bfloat16)
  logp, entropy, dx, dhead = with_gradients(lambda *args: score.token_scores(*args, 7))(
    low(x), low(head), targets, d_logp, d_entropy
  )
  assert (logp.dtype, entropy.dtype, dx.dtype, dhead.dtype) == (jnp.float32,) * 2 + (jnp.bfloat16,) * 2
  reference = plain(low(x).astype(jnp.float32), low(head).astype(jnp.float32), targets)
  np.testing.assert_allclose(logp, reference[0], atol=1e-4)


def test_logits_of_all_positions_never_exist():
  length, width, vocab = 4096, 16, 8192
  logits_bytes = 4 * length * vocab  # 134 MB
  array = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct(shape, dtype)
  row = array(1, length)
  args = (array(1, length, width), array(width, vocab), array(1, length, dtype=jnp.int32), row, row)
  temporary = lambda f: with_gradients(f).lower(*args).compile().memory_analysis().temp_size_in_bytes
  assert temporary(plain) >= logits_bytes  # what the measure says of code that does make them
  assert temporary(lambda *a: score.token_scores(*a, 128)) < logits_bytes / 8


LONG = """
import sys
import jax, jax.numpy as jnp
from vibethinker_jax.model import score
length, tied, run = int(sys.argv[1]), sys.argv[2] == 'tied', sys.argv[3] == 'run'
D, V = 1536, 151_936
def loss(x, head, targets):
  logp, entropy = score.token_scores(x, head, targets, 0, tied)
  return -logp.sum() + 0.1 * entropy.sum()
shapes = ((1, length, D), jnp.float32), ((V, D) if tied else (D, V), jnp.float32), ((1, length), jnp.int32)
compiled = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(*(jax.ShapeDtypeStruct(*s) for s in shapes)).compile()
if not run:
  print(compiled.memory_analysis().temp_size_in_bytes + 4 * length * D)  # with the gradient of x
else:
  args = jax.block_until_ready([jnp.full(shape, 0.01, dtype) for shape, dtype in shapes])
  memory = lambda name: next(1024 * int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(name))
  open('/proc/self/clear_refs', 'w').write('5')  # the peak from here on
  before = memory('VmRSS')
  jax.block_until_ready(compiled(*args))
  print(memory('VmHWM') - before - 4 * D * V)
"""


def bytes_above(length, head, run='compile'):
  """Memory above the inputs and the head's gradient, at the vocabulary and width of Qwen2.5-1.5B."""
  out = subprocess.run(
    [sys.executable, '-c', LONG, str(length), head, run], check=True, stdout=subprocess.PIPE, text=True
  )
  return int(out.stdout)


@pytest.mark.parametrize('head', ['tied', 'untied'])
def test_memory_of_a_32k_sequence(head):
  """As XLA plans it. Without gradients the logits alone would be 20 GB."""
  assert bytes_above(32_768, head) < 1.1e9


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('head', ['tied', 'untied'])
def test_peak_memory_of_the_process(head):
  """What a run really takes, with the scratch memory of the matrix products: 32 768 positions may take 1.5 GB above the
  inputs and the head's gradient, 512 of them 1.5 GB less what the others need for x, its gradient and their scores."""
  assert bytes_above(512, head, 'run') < 1.5e9 - 4 * (32_768 - 512) * (1536 + 16)
