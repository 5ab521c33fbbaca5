"""What a killed process leaves is read back; time is counted over all starts."""

import json

import pytest

from vibethinker_jax.eval.journal import Journal


def line(i, **more):
  return {'set': 's', 'id': f'p{i}', 'sample': 0, 'response': 'x\n' * i, 'tokens': 5, 'cut_off': False} | more


def test_every_response_is_there_at_once(tmp_path):
  journal = Journal(tmp_path / 'new')
  for i in range(3):
    journal.append(line(i))
    assert len((tmp_path / 'new/responses.jsonl').read_text().splitlines()) == i + 1
  assert Journal(tmp_path / 'new').known == journal.known and len(journal.known) == 3


def test_half_a_line_is_dropped(tmp_path):
  journal = Journal(tmp_path)
  journal.append(line(0))
  journal.append(line(1))
  journal.close()
  path = tmp_path / 'responses.jsonl'
  path.write_bytes(path.read_bytes()[:-7])
  again = Journal(tmp_path)
  assert set(again.known) == {('s', 'p0', 0)}
  again.append(line(1))
  assert set(Journal(tmp_path).known) == {('s', 'p0', 0), ('s', 'p1', 0)}


def test_a_strange_file_is_an_error(tmp_path):
  (tmp_path / 'responses.jsonl').write_text(json.dumps(line(0)) + '\n{"a": 1}\n')
  with pytest.raises(ValueError, match='line 2'):
    Journal(tmp_path)


def test_time_of_several_starts(tmp_path):
  for start in range(2):
    journal = Journal(tmp_path)
    journal.start(device='cpu')
    journal.append(line(start))
    journal.stop()
    journal.close()
  timing = Journal(tmp_path).timing()
  assert timing['responses'] == 2 and timing['tokens'] == 10 and len(timing['sessions']) == 2
  assert timing == json.loads((tmp_path / 'timing.json').read_text())


def test_what_a_kill_left_unnoted_is_counted(tmp_path):
  journal = Journal(tmp_path)
  journal.start(device='cpu')
  journal.append(line(0))
  journal.stop()
  journal.start(device='cpu')
  for i in (1, 2):
    journal.append(line(i))  # and no stop: killed
  assert Journal(tmp_path).timing()['responses'] == 3 and Journal(tmp_path).timing()['tokens'] == 15


def test_finish_replaces_the_file(tmp_path):
  journal = Journal(tmp_path)
  journal.append(line(1))
  journal.finish([line(0, status='correct'), line(1, status='wrong')])
  journal.append(line(2))
  assert [json.loads(x)['id'] for x in (tmp_path / 'responses.jsonl').read_text().splitlines()] == ['p0', 'p1', 'p2']
