"""The decoder against transformers' Qwen2, and its properties: causality, packing, remat, layouts."""

import jax
from jax._src.ad_checkpoint import saved_residuals
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen2 import modeling_qwen2

from vibethinker_jax.model import attention, rope as rotary, transformer
from vibethinker_jax.model.config import ModelConfig, from_dict
from vibethinker_jax.sampler import engine
from vibethinker_jax.sharding import path_name

SHAPES = {
  'embedding': (48, 16),
  'final_norm': (16,),
  'layers/attention_norm': (2, 16),
  'layers/mlp_norm': (2, 16),
  'layers/q': (2, 16, 4, 8),
  'layers/k': (2, 16, 2, 8),
  'layers/v': (2, 16, 2, 8),
  'layers/q_bias': (2, 4, 8),
  'layers/k_bias': (2, 2, 8),
  'layers/v_bias': (2, 2, 8),
  'layers/o': (2, 4, 8, 16),
  'layers/gate': (2, 16, 24),
  'layers/up': (2, 16, 24),
  'layers/down': (2, 24, 16),
}
L = 11


def with_head(config: ModelConfig, tied: bool) -> ModelConfig:
  return ModelConfig(**{**config.__dict__, 'tie_word_embeddings': tied})


@pytest.mark.parametrize('tied', [True, False])
def test_golden_tree(tiny, tied):
  found = jax.tree_util.tree_leaves_with_path(transformer.shapes(with_head(tiny, tied)))
  assert {path_name(path): x.shape for path, x in found} == SHAPES | ({} if tied else {'head': (16, 48)})
  assert {x.dtype for _, x in found} == {jnp.dtype('float32')}


def test_init_is_a_function_of_the_key_and_scaled(tiny):
  init = jax.jit(lambda k: transformer.init(tiny, k))
  params, again, other = init(jax.random.key(1)), init(jax.random.key(1)), init(jax.random.key(2))
  assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), params, again))
  assert not (params['embedding'] == other['embedding']).any()
  assert not (params['layers']['q'][0] == params['layers']['q'][1]).any()
  np.testing.assert_allclose(params['embedding'].std(), tiny.initializer_range, rtol=0.1)
  np.testing.assert_allclose(params['layers']['down'].std(), tiny.initializer_range / 2, rtol=0.1)  # 2 N = 4
  assert (params['layers']['q_bias'] == 0).all() and (params['layers']['mlp_norm'] == 1).all()
  assert transformer.num_params(params) == sum(int(np.prod(s)) for s in SHAPES.values())


@pytest.mark.parametrize(
  'values, message',
  [
    (dict(num_key_value_heads=3), 'multiple'),
    (dict(head_dim=7), 'even'),
    (dict(vocab_size=0), 'vocab_size'),
    (dict(layers=2), 'layers'),
    (dict(hidden_size='16'), 'hidden_size'),
  ],
)
def test_config_errors(tiny, values, message):
  with pytest.raises(ValueError, match=message):
    from_dict({**tiny.__dict__, **values})


def test_config_names_all_missing_fields():
  with pytest.raises(ValueError, match='(?s)vocab_size is missing.*head_dim is missing'):
    from_dict({})


# Parity with transformers, from the parts to the whole.


def hugging_face(config: ModelConfig, params) -> Qwen2ForCausalLM:
  """Qwen2 with our parameters, mapped independently of the package."""
  c = config
  model = Qwen2ForCausalLM(
    Qwen2Config(
      vocab_size=c.vocab_size,
      hidden_size=c.hidden_size,
      intermediate_size=c.intermediate_size,
      num_hidden_layers=c.num_hidden_layers,
      num_attention_heads=c.num_attention_heads,
      num_key_value_heads=c.num_key_value_heads,
      head_dim=c.head_dim,
      rms_norm_eps=c.rms_norm_eps,
      rope_parameters={'rope_type': 'default', 'rope_theta': c.rope_theta},
      max_position_embeddings=64,
      tie_word_embeddings=c.tie_word_embeddings,
      attn_attention='eager',
      pad_token_id=None,
      bos_token_id=None,
      eos_token_id=None,
    )
  ).eval()
  p = jax.tree.map(np.asarray, params)
  state = {
    'model.embed_tokens.weight': p['embedding'],
    'model.norm.weight': p['final_norm'],
    'lm_head.weight': p['embedding'] if c.tie_word_embeddings else p['head'].T,
  }
  for i in range(c.num_hidden_layers):
    layer, at = {name: x[i] for name, x in p['layers'].items()}, f'model.layers.{i}.'
    state[at + 'input_layernorm.weight'] = layer['attention_norm']
    state[at + 'post_attention_layernorm.weight'] = layer['mlp_norm']
    for name in 'qkv':
      state[at + f'self_attn.{name}_proj.weight'] = layer[name].reshape(c.hidden_size, -1).T
      state[at + f'self_attn.{name}_proj.bias'] = layer[name + '_bias'].reshape(-1)
    state[at + 'self_attn.o_proj.weight'] = layer['o'].reshape(-1, c.hidden_size).T
    for name in ('gate', 'up', 'down'):
      state[at + f'mlp.{name}_proj.weight'] = layer[name].T
  model.load_state_dict({name: torch.tensor(np.array(x)) for name, x in state.items()})
  return model


@pytest.fixture(scope='module', params=[True, False], ids=['tied', 'untied'])
def pair(request, tiny, make_params):
  """(config, params, the same model in transformers)."""
  config = with_head(tiny, request.param)
  params = make_params(config, seed=3)
  return config, params, hugging_face(config, params)


@pytest.fixture(scope='module')
def tokens(tiny):
  return np.random.default_rng(0).integers(0, tiny.vocab_size, (3, L))


@pytest.fixture(scope='module')
def x():
  return np.random.default_rng(1).normal(size=(3, L, 16)).astype(np.float32)


def close(ours, theirs, tolerance=1e-5):
  np.testing.assert_allclose(np.asarray(ours), theirs.detach().numpy(), atol=tolerance, rtol=0)


def block(config, params, x):
  """(output, what `attend` saw and gave) of the first layer."""
  seen = {}

  def attend(q, k, v):
    o = attention.attention(q, k, v, jnp.ones(q.shape[:2], jnp.int32))
    seen.update(q=q, k=k, v=v, o=o)
    return o, (q, k, v, o)

  layer = jax.tree.map(lambda p: p[0], params['layers'])
  angles = rotary.rope_angles(config, jnp.arange(L)[None])
  return jax.jit(lambda x: transformer.Block(config).apply({'params': layer}, x, angles, attend))(x)


def test_parity_rms_norm(pair, x):
  config, params, model = pair
  ours = transformer.rms_norm(x, params['final_norm'], config.rms_norm_eps)
  close(ours, model.model.norm(torch.tensor(x)))
  assert transformer.rms_norm(jnp.asarray(x, jnp.bfloat16), params['final_norm'], 1e-6).dtype == jnp.bfloat16


def test_parity_rope(pair):
  config, _, model = pair
  z = np.random.default_rng(2).normal(size=(3, L, 4, 8)).astype(np.float32)
  positions = np.random.default_rng(3).integers(0, 60, (3, L))
  ours = rotary.rotate(z, rotary.rope_angles(config, positions))
  cos, sin = model.model.rotary_emb(torch.tensor(z), torch.tensor(positions))
  turned = torch.tensor(z).transpose(1, 2)
  theirs, _ = modeling_qwen2.apply_rotary_pos_emb(turned, turned, cos, sin)
  close(ours, theirs.transpose(1, 2))


def causal_mask():
  return torch.full((L, L), float('-inf')).triu(1)[None, None]


def test_parity_attention_with_bias_and_grouped_heads(pair, x):
  config, params, model = pair
  _, (q, k, v, o) = block(config, params, x)
  layer, t = model.model.layers[0], torch.tensor(x)
  normed = layer.input_layernorm(t)
  rope = model.model.rotary_emb(t, torch.arange(L)[None])
  close(v.reshape(3, L, -1), layer.self_attn.v_proj(normed))
  theirs, _ = layer.self_attn(normed, position_embeddings=rope, attention_mask=causal_mask())
  close(jnp.einsum('BLHh,HhD->BLD', o, params['layers']['o'][0]), theirs)


def test_parity_block(pair, x):
  config, params, model = pair
  t = torch.tensor(x)
  theirs = model.model.layers[0](
    t, position_embeddings=model.model.rotary_emb(t, torch.arange(L)[None]), attention_mask=causal_mask()
  )
  close(block(config, params, x)[0], theirs if isinstance(theirs, torch.Tensor) else theirs[0])


def test_parity_logits_and_cache(pair, tokens):
  config, params, model = pair
  theirs = model(torch.tensor(tokens), use_cache=True)
  ours = jax.jit(lambda t: transformer.logits(config, params, t))(tokens)
  assert ours.dtype == jnp.float32 and ours.shape == (3, L, 48)
  assert theirs.logits.abs().max() > 1  # the comparison is not between zeros
  close(ours, theirs.logits, 1e-4)
  _, (k, v) = jax.jit(lambda t: transformer.hidden(config, params, t, keep_kv=True))(tokens)
  assert k.shape == v.shape == (2, 3, L, 2, 8)
  for i, layer in enumerate(theirs.past_key_values.layers):
    close(k[i], layer.keys.transpose(1, 2))
    close(v[i], layer.values.transpose(1, 2))


def test_parity_greedy_decoding_with_our_cache(pair, tokens, mesh1):
  config, params, model = pair
  prompts = [list(map(int, row[:n])) for row, n in zip(tokens, (L, 1, 5))]
  ours = engine.generate(
    config,
    params,
    engine.Request(prompts, 1),
    engine.Options(max_tokens=9, temperature=0.0, slots=4),
    key=jax.random.key(0),
    mesh=mesh1,
    vocabulary=engine.Vocabulary(config.vocab_size, ()),
  )
  for i, prompt in enumerate(prompts):
    theirs = model.generate(
      torch.tensor([prompt]),
      attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
      max_new_tokens=9,
      do_sample=False,
      eos_token_id=None,
    )
    assert ours.tokens_PGL[i, 0].tolist() == theirs[0, len(prompt) :].tolist()


# Properties.


def test_causal_by_perturbation(tiny, params, tokens):
  forward = jax.jit(lambda t: transformer.hidden(tiny, params, t))
  before = forward(tokens)
  for at in (0, 4, L - 1):
    changed = tokens.copy()
    changed[:, at] = (changed[:, at] + 1) % tiny.vocab_size
    moved = np.abs(forward(changed) - before).max(axis=(0, 2))
    assert (moved[:at] == 0).all() and (moved[at:] > 1e-4).all()


def test_causal_by_gradient(tiny, params, x):
  """d output[i] / d input[j] is zero exactly where j > i, through one block."""

  def influence(x):
    jacobian = jax.jacrev(lambda x: block(tiny, params, x)[0][0].sum(-1))(x)  # [i, B, j, D]
    return jnp.abs(jacobian[:, 0]).sum(-1)

  influence = np.asarray(jax.jit(influence)(x[:1]))
  assert (influence[np.triu_indices(L, 1)] == 0).all() and (influence[np.tril_indices(L)] > 0).all()


def test_packed_segments_equal_separate_documents(tiny, params):
  rng = np.random.default_rng(5)
  documents = [rng.integers(0, 48, n) for n in (4, 7, 3)]
  width = 16  # two positions of padding
  row, positions, segments = (np.zeros((1, width), np.int32) for _ in range(3))
  start = 0
  for i, d in enumerate(documents):
    span = slice(start, start + len(d))
    row[0, span], positions[0, span], segments[0, span] = d, np.arange(len(d)), i + 1
    start += len(d)
  forward = jax.jit(lambda *args: transformer.logits(tiny, params, *args))
  packed, start = forward(row, positions, segments), 0
  assert np.isfinite(packed).all()
  for d in documents:
    alone = forward(np.pad(d, (0, width - len(d)))[None])[0, : len(d)]
    np.testing.assert_allclose(packed[0, start : start + len(d)], alone, atol=1e-5)
    start += len(d)
  leaky = forward(row, positions, np.ones_like(segments))
  assert np.abs(leaky - packed)[0, 4:14].max() > 1e-2  # the segment ids do something


def test_positions_are_used(tiny, params, tokens):
  forward = jax.jit(lambda p: transformer.logits(tiny, params, tokens, p))
  start = np.broadcast_to(np.arange(L), tokens.shape)
  np.testing.assert_allclose(forward(start + 7), forward(start), atol=1e-4)  # rotary angles are relative
  assert np.abs(forward(start * 2) - forward(start)).max() > 1e-2


def squared(config, tokens, **options):
  execution = transformer.Execution(**options)
  return lambda params: jnp.sum(transformer.hidden(config, params, tokens, execution=execution) ** 2)


@pytest.fixture(scope='module')
def plain_gradient(tiny, params, tokens):
  return jax.jit(jax.value_and_grad(squared(tiny, tokens)))(params)


def same_gradient(found, expected):
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, atol=1e-5 * max(1.0, float(jnp.abs(b).max())))


@pytest.mark.parametrize(
  'remat, unroll',
  [('full', False), ('attention', False), ('attention_qkv', False), ('none', True), ('attention', True)],
)
def test_remat_and_unroll_keep_the_gradients(tiny, params, tokens, plain_gradient, remat, unroll):
  function = squared(tiny, tokens, remat=remat, unroll=unroll)
  same_gradient(jax.jit(jax.value_and_grad(function))(params), plain_gradient)


def test_remat_policies_change_what_is_saved(tiny, params, tokens):
  def saved(remat):
    """Shapes of what the layers keep for the backward pass: stacked over N, without the parameters."""
    residuals = saved_residuals(squared(tiny, tokens, remat=remat), params)
    return sorted(a.shape for a, source in residuals if 'argument' not in source and a.shape[:3] == (2, 3, L))

  full, attended, qkv, everything = (saved(name) for name in ('full', 'attention', 'attention_qkv', 'none'))
  heads, groups = (2, 3, L, 4, 8), (2, 3, L, 2, 8)
  assert full == [(2, 3, L, 16)]  # each layer's input alone
  assert attended == sorted(full + [heads])
  assert qkv == sorted(attended + [heads, groups, groups])
  assert len(everything) > len(qkv) and (2, 3, L, 24) in everything


def test_unroll_unrolls(tiny, params, tokens):
  text = lambda unroll: jax.jit(squared(tiny, tokens, unroll=unroll)).lower(params).as_text()
  loops = lambda unroll: text(unroll).count('stablehlo.while')
  assert (loops(False), loops(True)) == (2, 1)  # one loop is that of rope_angles


def test_dtype_of_activations(tiny, params, tokens):
  table = params['embedding'].astype(jnp.bfloat16)
  low = jax.jit(lambda t: transformer.hidden(tiny, params, t, table=table))(tokens)
  high = jax.jit(lambda t: transformer.hidden(tiny, params, t))(tokens)
  assert (low.dtype, high.dtype) == (jnp.bfloat16, jnp.float32)
  assert 1e-4 < np.abs(low.astype(jnp.float32) - high).max() < 0.3


def test_errors(tiny, params, tokens):
  with pytest.raises(ValueError, match='remat.*attention_qkv'):
    transformer.hidden(tiny, params, tokens, execution=transformer.Execution(remat='all'))
  with pytest.raises(ValueError, match='auto, xla, splash'):
    transformer.hidden(tiny, params, tokens, execution=transformer.Execution(attention='flash'))
