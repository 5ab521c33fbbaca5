"""Where the sets of the presets live: repositories of the Hugging Face Hub, their files and revisions.

A revision is a commit wherever one was known; the digest of what was read stands in every result.
"""

from typing import NamedTuple


class Home(NamedTuple):
  """repository: OWNER/NAME of a data set. files: of it, paths or globs. revision: a commit, or a branch. gated: its
  conditions have to be accepted first."""

  repository: str
  files: tuple[str, ...]
  revision: str = 'main'
  gated: bool = False

  def entries(self) -> str:
    """As an option `files` names them."""
    return ','.join(f'hf://datasets/{self.repository}@{self.revision}/{file}' for file in self.files)


_LIVECODEBENCH = 'livecodebench/code_generation_lite', '0fe84c3912ea0c4d4a78037083943e8f0c4dd505'
HOMES = {
  'aime24': Home(
    'HuggingFaceH4/aime_2024', ('data/train-00000-of-00001.parquet',), '2fe88a2f1091d5048c0f36abc874fb997b3dd99a'
  ),
  'aime25': Home('math-ai/aime25', ('test.jsonl',), '563bb8404243c5f09de6ec262f2db674fe5bce9b'),
  'hmmt25': Home('MathArena/hmmt_feb_2025', ('data/*.parquet',)),
  'math500': Home('HuggingFaceH4/MATH-500', ('test.jsonl',), '6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be'),
  'gpqa_diamond': Home(
    'Idavidrein/gpqa', ('gpqa_diamond.csv',), '633f5ee89ab8ad4522a9f850766b73f62147ffdd', gated=True
  ),
  # A file holds the problems that a release added. The 279 of v5 are release_v5's since August 2024: 167 in test5, 101
  # in test4 and the rest in test3. Test6 has 44 of January 2025 beside the 131 of v6, which v5 did not have.
  'livecodebench_v5': Home(_LIVECODEBENCH[0], ('test3.jsonl', 'test4.jsonl', 'test5.jsonl'), _LIVECODEBENCH[1]),
  'livecodebench_v6': Home(_LIVECODEBENCH[0], ('test6.jsonl',), _LIVECODEBENCH[1]),
  'gsm8k': Home('openai/gsm8k', ('main/test-00000-of-00001.parquet',), '740312add88f781978c0658806c59bc2815b9866'),
  'humaneval': Home(
    'openai/openai_humaneval',
    ('openai_humaneval/test-00000-of-00001.parquet',),
    '7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544',
  ),
  'mbpp': Home(
    'google-research-datasets/mbpp', ('full/test-00000-of-00001.parquet',), '4bb6404fdc6cacfda99d4ac4205087b89d32030c'
  ),
}
