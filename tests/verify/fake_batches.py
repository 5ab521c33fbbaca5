"""Verifiers of many responses at once that do what the responses say, for test_batches; imported by workers."""

import ast
import os
import time


def score_batch(responses, rows):
  """The numbers that the responses are; each says with how many others it came."""
  return [{'reward': float(text), 'beside': len(responses)} for text in responses]


def literal_batch(responses, rows):
  """What the responses say, as Python has it."""
  return [ast.literal_eval(text) for text in responses]


def first_batch(responses, rows):
  """The row says what all of them get."""
  return ast.literal_eval(rows[0]['returns'])


def obedient_batch(responses, rows):
  if 'hang' in responses:
    time.sleep(60)
  if 'die' in responses:
    os._exit(3)
  if 'raise' in responses:
    raise KeyError('told to raise')
  return [True] * len(responses)


def environment_batch(responses, rows):
  return [text in os.environ for text in responses]
