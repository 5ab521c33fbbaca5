"""launch/local_multiprocess.py as a module."""

import importlib.util
import pathlib

import pytest

LAUNCH = pathlib.Path(__file__).parents[2] / 'launch'


@pytest.fixture(scope='session')
def local():
  spec = importlib.util.spec_from_file_location('local_multiprocess', LAUNCH / 'local_multiprocess.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
