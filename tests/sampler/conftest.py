import jax
import numpy as np
import pytest

from tests.sampler.setting import GROUP, LENGTHS, OPTIONS, STOPS
from vibethinker_jax.sampler import engine


@pytest.fixture(scope='module')
def prompts(vocab_size):
  rng = np.random.default_rng(0)
  return [rng.integers(0, vocab_size, n).tolist() for n in LENGTHS]


@pytest.fixture(scope='module')
def generate(tiny, params, prompts, mesh1, vocab_size):
  """engine.generate with defaults of these tests."""

  def run(
    prompts=prompts,
    group=GROUP,
    mesh=mesh1,
    params=params,
    stop_ids=STOPS,
    key=0,
    prompt_ids=None,
    earlier=None,
    on_finished=lambda *_: None,
    wanted=None,
    on_tokens=lambda *_: None,
    ends=None,
    **options,
  ):
    request = engine.Request(prompts, group, prompt_ids, earlier)
    return engine.generate(
      tiny,
      params,
      request,
      engine.Options(**{**OPTIONS, **options}),
      mesh=mesh,
      key=jax.random.key(key),
      vocabulary=engine.Vocabulary(vocab_size, stop_ids),
      callbacks=engine.Callbacks(on_finished, on_tokens, wanted, ends),
    )

  return run


@pytest.fixture(scope='module')
def base(generate):
  return generate()
