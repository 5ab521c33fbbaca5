"""Hugging Face directories, both ways, against transformers itself: families, RoPE scalings, dtypes, parts, meshes."""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from vibethinker_jax.model import transformer
from vibethinker_jax.model.config import RopeScaling
from vibethinker_jax.model.formats import hf, hf_config

SIZES = dict(
  vocab_size=48,
  hidden_size=16,
  intermediate_size=24,
  num_hidden_layers=2,
  num_attention_heads=4,
  num_key_value_heads=2,
  head_dim=8,
  max_position_embeddings=64,
  rms_norm_eps=1e-3,
  bos_token_id=None,
  eos_token_id=None,
  pad_token_id=None,
)
CLASSES = {
  'qwen2': (Qwen2Config, Qwen2ForCausalLM),
  'qwen3': (Qwen3Config, Qwen3ForCausalLM),
  'llama': (LlamaConfig, LlamaForCausalLM),
}
LINEAR = dict(rope_type='linear', factor=4.0)
YARN = dict(rope_type='yarn', factor=4.0, original_max_position_embeddings=16)
YARN_SET = dict(YARN, beta_fast=4.0, beta_slow=2.0, attention_factor=0.7)
LLAMA3 = dict(
  rope_type='llama3', factor=8.0, original_max_position_embeddings=32, low_freq_factor=1.0, high_freq_factor=4.0
)


def build(family, rope=None, tied=True):
  """A random model of transformers: no norm at 1, no bias at 0."""
  config_class, model_class = CLASSES[family]
  torch.manual_seed(0)
  config = config_class(
    **SIZES, tie_word_embeddings=tied, rope_parameters=dict(rope or {'rope_type': 'default'}, rope_theta=500.0)
  )
  model = model_class(config).eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      value.normal_(0, 0.25)
      value += 'norm' in name
  return model


def tokens(length=40):
  return np.random.default_rng(0).integers(0, 48, (2, length))


def logits_of(model, length=40):
  with torch.no_grad():
    return model(torch.tensor(tokens(length))).logits.float().numpy()


@pytest.mark.parametrize(
  'family, rope, tied',
  [
    ('qwen2', None, True),
    ('qwen2', None, False),
    ('qwen2', LINEAR, True),
    ('qwen2', YARN, True),
    ('qwen3', None, True),
    ('qwen3', YARN_SET, False),
    ('llama', None, False),
    ('llama', LLAMA3, True),
  ],
)
def test_both_ways(family, rope, tied, tmp_path):
  model = build(family, rope, tied)
  model.save_pretrained(tmp_path / 'theirs', max_shard_size='5KB')
  assert len(list((tmp_path / 'theirs').glob('*.safetensors'))) > 2
  config, params = hf.load(tmp_path / 'theirs')
  assert (config.qk_norm, config.attention_bias) == (family == 'qwen3', family == 'qwen2')
  assert config.tie_word_embeddings == tied == ('head' not in params) and config.max_position_embeddings == 64
  ours = transformer.logits(config, params, jnp.asarray(tokens()))
  np.testing.assert_allclose(ours, logits_of(model), atol=1e-4, rtol=0)

  hf.save(tmp_path / 'ours', config, params, dtype='float32', shard_bytes=5000)
  assert len(list((tmp_path / 'ours').glob('*.safetensors'))) > 2
  again = CLASSES[family][1].from_pretrained(tmp_path / 'ours', dtype=torch.float32).eval()
  np.testing.assert_allclose(logits_of(again), logits_of(model), atol=1e-5, rtol=0)
  config_again, params_again = hf.load(tmp_path / 'ours')
  assert config_again == config
  assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), params, params_again))


def test_rope_scaling_matters():
  """The scalings are seen in the logits: a config that loses one would be caught above."""
  plain = logits_of(build('qwen2'))
  assert all(np.abs(logits_of(build('qwen2', rope)) - plain).max() > 0.05 for rope in (LINEAR, YARN, YARN_SET, LLAMA3))


def test_scaled_cache_decodes_as_the_whole(tmp_path, mesh_of):
  from vibethinker_jax.sampler import engine

  model = build('qwen3', YARN)
  model.save_pretrained(tmp_path / 'm')
  config, params = hf.load(tmp_path / 'm')
  prompt = tokens()[0, :9].tolist()
  mesh = mesh_of(1, 1, 1, 1)
  with jax.set_mesh(mesh):
    options = engine.Options(16, temperature=0.0, slots=1, steps_per_call=4)
    found = engine.generate(
      config,
      params,
      engine.Request([prompt], 1),
      options,
      key=jax.random.key(0),
      mesh=mesh,
      vocabulary=engine.Vocabulary(48, ()),
    ).tokens_PGL[0, 0]
  ids = list(prompt)
  for _ in range(16):
    with torch.no_grad():
      ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
  assert found.tolist() == ids[9:]


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision(dtype, tmp_path):
  model = build('qwen2').to(getattr(torch, dtype))
  model.save_pretrained(tmp_path / 'a')
  config, params = hf.load(tmp_path / 'a')
  assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype('float32')}
  hf.save(tmp_path / 'b', config, params, dtype=dtype)
  kept = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / 'b')
  state = model.state_dict()
  assert kept.dtype == getattr(torch, dtype)
  assert all(torch.equal(value, state[name]) for name, value in kept.state_dict().items())
  _, low = hf.load(tmp_path / 'a', dtype=jnp.dtype(dtype))
  assert all((a == b.astype(a.dtype)).all() for a, b in zip(jax.tree.leaves(low), jax.tree.leaves(params)))


def test_sharded_import_is_the_same(tmp_path, mesh_of):
  build('qwen2', tied=False).save_pretrained(tmp_path / 'm')
  config, params = hf.load(tmp_path / 'm')
  for sizes in ((1, 4, 2, 1), (2, 2, 2, 1), (1, 8, 1, 1)):
    mesh = mesh_of(*sizes)
    _, split = hf.load(tmp_path / 'm', mesh=mesh)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), params, split))
    assert not split['layers']['q'].sharding.is_fully_replicated and split['layers']['q'].sharding.mesh == mesh
    hf.save(tmp_path / str(sizes), config, split, dtype='float32')
  files = [next(p.glob('*.safetensors')).read_bytes() for p in tmp_path.glob('(*')]
  assert len(files) == 3 and files[0] == files[1] == files[2]


def change(path, **values):
  file = path / 'config.json'
  file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_all_wrong_tensors_are_named_at_once(tmp_path):
  build('qwen2').save_pretrained(tmp_path / 'm')
  change(tmp_path / 'm', model_type='qwen3', hidden_size=24, num_hidden_layers=3, attention_bias=False)
  with pytest.raises(ValueError) as error:
    hf.load(tmp_path / 'm')
  message = str(error.value)
  for part in (
    'model.layers.2.mlp.up_proj.weight',
    'model.layers.{0,1,2}.self_attn.k_norm.weight',
    '6 surplus',
    'model.layers.{0,1}.self_attn.q_proj.bias',
    'model.norm.weight (16,) instead of (24,)',
  ):
    assert part in message, message


@pytest.mark.parametrize(
  'values, part',
  [
    (dict(model_type='gpt2'), 'gpt2'),
    (dict(hidden_act='gelu'), 'gelu'),
    (dict(use_sliding_window=True), 'sliding'),
    (dict(quantization_config={'bits': 4}), 'quantization'),
    (dict(layer_types=['sliding_attention']), 'layer_types'),
    (dict(rope_parameters={'rope_type': 'dynamic', 'factor': 2.0}), 'dynamic'),
    (dict(rope_parameters={'rope_type': 'yarn', 'factor': 2.0, 'mscale': 0.7}), 'mscale'),
    (dict(model_type='llama', attention_bias=True), 'bias'),
    (
      dict(num_attention_heads=0, hidden_size='1536', rope_theta='big'),
      "config.json: hidden_size='1536' must be an integer >= 1; num_attention_heads=0 must be .*; rope_theta='big' "
      'must be',
    ),
    (dict(num_key_value_heads=2.5), 'num_key_value_heads=2.5 must be'),
    (dict(rms_norm_eps=-1), 'rms_norm_eps=-1 must be'),
  ],
)
def test_unsupported_features_are_refused(values, part):
  plain = json.loads(Qwen2Config(**SIZES).to_json_string())
  with pytest.raises(ValueError, match=part):
    hf_config.read(plain | values, 'config.json')


def test_config_of_transformers_4():
  old = {k: v for k, v in SIZES.items() if k != 'head_dim'} | dict(
    model_type='qwen2', rope_theta=1e6, rope_scaling=dict(type='yarn', factor=4.0), hidden_size=32
  )
  config = hf_config.read(old, 'config.json')
  assert (config.head_dim, config.rope_theta, config.tie_word_embeddings) == (8, 1e6, False)
  assert config.rope_scaling == RopeScaling('yarn', 4.0, original_max_position_embeddings=64)


def test_bad_files(tmp_path):
  model = build('qwen2')
  with pytest.raises(ValueError, match='no config.json'):
    hf.load(tmp_path)
  model.save_pretrained(tmp_path / 'm')
  weights = tmp_path / 'm' / 'model.safetensors'
  whole = weights.read_bytes()
  weights.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(ValueError, match='cut short'):
    hf.load(tmp_path / 'm')
  weights.rename(tmp_path / 'm' / 'pytorch_model.bin')
  with pytest.raises(ValueError, match='pytorch_model.bin'):
    hf.load(tmp_path / 'm')


def test_a_head_that_differs_from_a_tied_embedding_is_refused(tmp_path):
  build('qwen2', tied=False).save_pretrained(tmp_path / 'm')
  change(tmp_path / 'm', tie_word_embeddings=True)
  with pytest.raises(ValueError, match='lm_head.weight differs'):
    hf.load(tmp_path / 'm')


def test_save_is_whole_or_not_at_all(tiny, params, tmp_path, monkeypatch):
  hf.save(
    tmp_path / 'm', tiny, params, files={'tokenizer.json': b'{}', 'generation_config.json': b'{"eos_token_id": 7}'}
  )
  assert (tmp_path / 'm' / 'tokenizer.json').read_bytes() == b'{}'
  assert json.loads((tmp_path / 'm' / 'config.json').read_text())['eos_token_id'] == 7
  with pytest.raises(ValueError, match='not an empty directory'):
    hf.save(tmp_path / 'm', tiny, params)
  with pytest.raises(ValueError, match='float8'):
    hf.save(tmp_path / 'n', tiny, params, dtype='float8')
  large = jax.tree.map(lambda x: x * 1e6, params)
  with pytest.raises(ValueError, match='float16'):
    hf.save(tmp_path / 'n', tiny, large, dtype='float16')
  assert not (tmp_path / 'n').exists()


MEASURE = """
import re, sys, time, jax
jax.config.update('jax_platforms', 'cpu')
import jax.numpy as jnp
from vibethinker_jax.model.formats import hf
def peak():  # of this process alone, in MB; ru_maxrss is inherited from the parent
  return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read()).group(1)) >> 10
jax.block_until_ready(jnp.zeros(8) + 1)
before, start = peak(), time.time()
config, params = hf.load(sys.argv[1], dtype=jnp.bfloat16)
held = sum(x.nbytes for x in jax.tree.leaves(params)) >> 20
print('seconds', round(time.time() - start, 1), 'held MB', held, 'peak MB', peak() - before)
"""


@pytest.mark.slow
def test_full_1p5b_shape(tmp_path):
  """Logits of 64 tokens within 1e-3, 32 greedy tokens equal, import memory bounded by the parameters and one tensor."""
  with torch.device('meta'):
    model = Qwen2ForCausalLM(
      Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_parameters={'rope_type': 'default', 'rope_theta': 1e6},
      )
    )
  model = model.to_empty(device='cpu').to(torch.bfloat16)
  model.tie_weights()
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    for name, value in model.named_parameters():
      value.copy_((0.03 * torch.randn(value.shape, generator=generator) + ('norm' in name)).to(value.dtype))
  model.save_pretrained(tmp_path / 'm', max_shard_size='1GB')
  model = model.float().eval()
  prompt = torch.randint(0, 151643, (1, 64), generator=generator)
  with torch.no_grad():
    expected = model(prompt).logits[0].numpy()
    greedy = model.generate(
      prompt,
      attention_mask=torch.ones_like(prompt),
      max_new_tokens=32,
      do_sample=False,
      eos_token_id=None,
      pad_token_id=0,
    )[0, 64:].tolist()
  del model

  measured = subprocess.run(
    [sys.executable, '-c', MEASURE, str(tmp_path / 'm')],
    check=True,
    stdout=subprocess.PIPE,
    text=True,
    cwd=pathlib.Path(__file__).parents[3],
  ).stdout.split()
  print(' '.join(measured), 'files MB', sum(f.stat().st_size for f in (tmp_path / 'm').glob('*.safetensors')) >> 20)
  held, peak = int(measured[4]), int(measured[7])
  largest = 151936 * 1536 * 2 >> 20  # the embedding, 445 MB
  assert 2900 < held < peak < held + largest

  config, params = hf.load(tmp_path / 'm')
  ours = np.asarray(jax.jit(lambda p, t: transformer.logits(config, p, t))(params, jnp.asarray(prompt.numpy())))[0]
  print('max abs difference of logits', np.abs(ours - expected).max(), 'of', np.abs(expected).max())
  assert np.abs(ours - expected).max() < 1e-3
  from vibethinker_jax import sharding
  from vibethinker_jax.sampler import engine

  mesh = sharding.make_mesh(devices=jax.devices()[:1])
  with jax.set_mesh(mesh):
    request, options = engine.Request([prompt[0].tolist()], 1), engine.Options(32, temperature=0.0, slots=1)
    found = engine.generate(
      config, params, request, options, key=jax.random.key(0), mesh=mesh, vocabulary=engine.Vocabulary(151936, ())
    ).tokens_PGL[0, 0]
  assert found.tolist() == greedy
