"""The library's names for models of the Hugging Face Hub: `hf.load(path)` and `hf.save(path, config, params)`."""

from vibethinker_jax.model.formats.hf import load, save

__all__ = ('load', 'save')
