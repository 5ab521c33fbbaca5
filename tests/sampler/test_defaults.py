"""What of generation_config.json counts."""

import json

import pytest

from vibethinker_jax.eval import sets
from vibethinker_jax.sampler import defaults

QWEN = dict(do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, eos_token_id=[1, 2])


def files(**values):
  return {defaults.FILE: json.dumps(values).encode()}


@pytest.mark.parametrize(
  'values, found',
  [
    (QWEN, dict(temperature=0.7, top_p=0.8, top_k=20)),
    (dict(do_sample=False, max_new_tokens=2048), dict(temperature=0.0)),
    (dict(do_sample=False, temperature=0.6, top_p=0.9), dict(temperature=0.0, top_p=0.9)),
    (dict(temperature=None, top_k=-1, min_p=0.05), dict(top_k=0, min_p=0.05)),
    (dict(eos_token_id=3), {}),
  ],
  ids=str,
)
def test_what_a_model_names(values, found):
  assert defaults.taken(files(**values), {}) == found
  assert defaults.taken({}, {}) == {}


@pytest.mark.parametrize('values', [dict(temperature=-1), dict(top_p=0), dict(top_k=1.5), dict(min_p='x')], ids=str)
def test_what_cannot_be_sampled_with_is_said(values):
  with pytest.raises(ValueError, match=rf'generation_config.json.{next(iter(values))}='):
    defaults.taken(files(**values), {})
  for text in (b'{', b'[]', b'3', b'\xff\xfe{'):
    with pytest.raises(ValueError, match='generation_config.json (is not JSON|must be a JSON object)') as error:
      defaults.taken({defaults.FILE: text}, {})
    assert '\n' not in str(error.value)
  with pytest.raises(ValueError, match='do_sample=.no. must be true or false'):
    defaults.taken(files(do_sample='no'), {})
  assert defaults.taken(files(temperature=-1, top_p=0.5), {'temperature': 0.6}) == {'top_p': 0.5}  # a flag goes before


def test_flags_win_and_presets_stay():
  given = dict(temperature=None, top_p=1.0, top_k=0, min_p=None)
  assert defaults.taken(files(**QWEN), given) == {'temperature': 0.7}
  said = 'generation_config.json of the model: temperature=0.7, top_k=20'
  assert defaults.said({'temperature': 0.7, 'top_k': 20}, files(num_beams=1)) == said
  assert defaults.said({'top_k': 20}, files(**QWEN)).endswith('top_k=20; not done here: repetition_penalty=1.05')
  assert defaults.said({}, files(eos_token_id=3)) == ''
  own = sets.Set('a', '', '', [], 4, 1.0, 0.95, 9)
  preset = own._replace(preset='aime24')
  chosen, taken = sets.by_model([own, preset], files(**QWEN), {})
  assert chosen == [own._replace(**taken), preset] and taken == dict(temperature=0.7, top_p=0.8, top_k=20)
  assert 'top_k' in chosen[0].settings() and 'top_k' not in preset.settings()
  assert sets.by_model([preset], files(**QWEN), {}) == ([preset], {})
