"""The base of a plan by a name of the Hub: its settings come, no weights; of the papers' bases not even those."""

import json

import pytest

from vibethinker_jax.data.tokens import tokenizer

CONFIG = dict(
  model_type='qwen2', vocab_size=320, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
  intermediate_size=24, tie_word_embeddings=True)  # fmt: skip
SHOW = """
from vibethinker_jax import config as config_lib
from vibethinker_jax.aot.programs import shapes
def base(name):
  recipe = config_lib.Recipe(0, '', config_lib.Mesh(), (), base=name)
  found = shapes.base(recipe)
  return [found.config.num_hidden_layers, found.config.vocab_size, found.tokens, found.note.rpartition('/')[2]]
"""


@pytest.mark.slow
def test_a_name_of_the_hub(hub):
  trained = tokenizer.train([f'So once is {i}. Question why' for i in range(200)], 310)
  files = trained.hub_files()
  hub.model('O/N', files | {'config.json': json.dumps(CONFIG).encode(), 'model.safetensors': b'x' * 300_000})
  (found,) = hub.run(SHOW + "show(lambda: base('O/N@main'))")
  assert found == [3, 320, trained.vocab_size, 'config.json'] and not hub.count('safetensors')
  for name, part in (('O/M', 'config.base: O/M: neither'), ('O/N/x.gguf', 'give --config.base=DIR with a config.json')):
    (error,) = hub.run(SHOW + f'show(lambda: base({name!r}))')
    assert part in error and '\n' not in error
  away = dict(HF_ENDPOINT='http://127.0.0.1:1')
  known, unknown = hub.run(SHOW + "show(lambda: base('Qwen/Qwen2.5-Math-1.5B')); show(lambda: base('O/M'))", **away)
  assert known[0] == 28 and 'cannot be reached' in unknown
