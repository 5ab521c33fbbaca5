"""The toy recipe that the tests of the programs share."""

import importlib.util
import pathlib

import pytest


@pytest.fixture(scope='session')
def toy():
  """toy.py as a module: its config and a pool that flips coins."""
  spec = importlib.util.spec_from_file_location('toy', pathlib.Path(__file__).with_name('toy.py'))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
