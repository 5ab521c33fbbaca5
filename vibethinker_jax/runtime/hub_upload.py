"""A directory on the way to the Hugging Face Hub."""

import pathlib
import re

from vibethinker_jax.runtime import hub

# Weights of an earlier model: half of two models would load as none.
OLD = ['*.safetensors', '*.safetensors.index.json', '*.bin', '*.gguf']


def check(name: str, public: bool) -> None:
  """Looks, before anything is computed, whether this account may write there.

  Raises:
    ValueError: no such name, no login, or a repository that is public without being meant to be.
  """
  import huggingface_hub

  if not re.fullmatch(r'[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*', name):
    raise ValueError(f'--push={name}: it is OWNER/NAME, OWNER your account or an organisation of yours')
  api = huggingface_hub.HfApi()
  try:
    hub.patiently(api.whoami, name)
  except Exception as error:
    found = hub.kinds(error)
    if 'LocalTokenNotFoundError' in found or hub.status(hub.cause(error)) in (401, 403):
      raise ValueError(
        f'--push={name}: nobody is logged in here, or the token is not valid: "hf auth login" or HF_TOKEN=... with a '
        'token that may write'
      ) from error
    raise ValueError(hub.said(error, f'--push={name}', api.endpoint)) from error
  try:
    there = api.model_info(name)
  except Exception as error:
    if 'RepositoryNotFoundError' in hub.kinds(hub.cause(error)):
      return
    raise ValueError(hub.said(error, f'--push={name}', f'{api.endpoint}/{name}')) from error
  if there.private is public:
    kind, remedy = ('private', 'leave --public out') if public else ('public', 'give --public')
    raise ValueError(f'--push={name}: {api.endpoint}/{name} is there and {kind}: {remedy}, or give another name')


def push(folder: pathlib.Path, name: str, public: bool, kept: bool = True) -> str:
  """Uploads a folder as one commit, into a repository that is made if it is not there; returns the commit's address.

  Args:
    kept: the folder stays where it is; an error says so.

  Raises:
    ValueError: the Hub does not take it.
  """
  import huggingface_hub

  api = huggingface_hub.HfApi()
  try:
    hub.patiently(lambda: api.create_repo(name, private=not public, exist_ok=True), name)
    message = 'Upload by vibethinker_jax'
    return hub.patiently(
      lambda: api.upload_folder(repo_id=name, folder_path=folder, commit_message=message, delete_patterns=OLD), name
    ).commit_url
  except Exception as error:
    code = hub.status(hub.cause(error))
    if code in (401, 403):
      raise ValueError(f'--push={name}: {api.endpoint} answers {code}: this token may not write there') from error
    where = f'; the model is in {folder}, --source={folder} --to=hf --push={name} goes on' if kept else ''
    raise ValueError(f'--push={name}: {hub.said(error, name, f"{api.endpoint}/{name}")}{where}') from error
