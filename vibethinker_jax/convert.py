"""Converts models: Hugging Face directories and GGUF files <-> our checkpoints.

  python -m vibethinker_jax.convert --source=Qwen2.5-Math-1.5B --target=runs/base       # Hugging Face -> ours
  python -m vibethinker_jax.convert --source=runs/mine/rl_code --target=my-model        # ours -> Hugging Face
  python -m vibethinker_jax.convert --source=model.gguf --target=my-model --to=hf       # GGUF -> Hugging Face
  python -m vibethinker_jax.convert --source=runs/mine/rl_code --to=hf --push=me/my-model     # ours -> the Hub

Stages and commands also open Hugging Face directories and GGUF files as they are (init_from, --checkpoint).
"""

from vibethinker_jax.runtime import startup

if __name__ == '__main__':
  startup.prepare()

import contextlib
import json
import pathlib
import shutil
import tempfile

from absl import app, flags
import jax
import jax.numpy as jnp

from vibethinker_jax import checkpoint, config as config_lib, sharding
from vibethinker_jax.data.tokens import tokenizer as tokenizer_lib
from vibethinker_jax.eval.pages import card
from vibethinker_jax.model import transformer
from vibethinker_jax.model.formats import hf
from vibethinker_jax.programs import elsewhere, stage
from vibethinker_jax.runtime import disk, given, hosts, hub, hub_upload, storage, watch

SOURCE = flags.DEFINE_string(
  'source',
  None,
  'Hugging Face directory, name of the Hub (OWNER/NAME, OWNER/NAME@REVISION), GGUF file, stage directory or one of our '
  'checkpoints.',
)
TARGET = flags.DEFINE_string(
  'target', '', 'Directory to write; it must not exist, or be empty. With --push it may be left out.'
)
PUSH = flags.DEFINE_string(
  'push', '', 'OWNER/NAME on the Hugging Face Hub to upload the directory to, private, with a model card.'
)
PUBLIC = flags.DEFINE_bool('public', False, 'What --push makes can be seen by everybody.')
TO = flags.DEFINE_enum(
  'to',
  'auto',
  ['auto', 'hf', 'checkpoint'],
  'What to write: auto is a Hugging Face directory from our checkpoints and a checkpoint from all others.',
)
DTYPE = flags.DEFINE_enum(
  'dtype', 'bfloat16', list(hf.DTYPES), 'Of the tensors of a Hugging Face directory; our checkpoints are float32.'
)
SHARD_GB = flags.DEFINE_float(
  'shard_gb',
  2.0,
  'A safetensors file holds at most that many GB; so much host memory is used at once.',
  lower_bound=0.001,
)
TOKENIZER = flags.DEFINE_string(
  'tokenizer', '', "Directory, tokenizer.json or .model to carry along instead of the source's."
)
TO_HF, TO_OURS = 'where a Hugging Face directory is written', 'where one of our checkpoints is written'
READ = {
  TO_HF: given.words('source target to tokenizer dtype shard_gb push public'),
  TO_OURS: given.words('source target to tokenizer'),
}
MEANT = dict.fromkeys(
  ('dtype', 'shard_gb'), 'ours are float32 in files of their own; --to=hf writes a Hugging Face directory'
) | dict.fromkeys(('push', 'public'), '--to=hf writes what the Hub takes')


def mode() -> str:
  """What is written: a key of READ."""
  source = storage.path(SOURCE.value)
  if storage.remote(source):
    source = hub.local(source, weights=False)
  ours = source.suffix != '.gguf' and not hub.is_name(source) and (storage.remote(source) or not hf.is_model(source))
  return TO_HF if TO.value == 'hf' or (TO.value == 'auto' and ours) else TO_OURS


startup.finite('shard_gb')


def main(argv) -> None:
  with startup.one_line(ValueError, flag='--target'):  # the source may be in a bucket
    given.check(argv, mode(), READ, MEANT, needs={'public': 'push'})
  if not TARGET.value and not PUSH.value:
    raise SystemExit('error: give --target=DIR, or --push=OWNER/NAME with --to=hf')
  startup.plain_logs()
  hosts.connect()
  with watch.guard():
    with startup.one_line(ValueError, flag='--target'):
      if PUSH.value:
        hosts.agreed(lambda: hub_upload.check(PUSH.value, PUBLIC.value), 'a look at the Hub')
      with contextlib.ExitStack() as stack:
        made = lambda: stack.enter_context(tempfile.TemporaryDirectory(prefix='vibethinker_jax-'))
        target = storage.local(TARGET.value, '--target') or hosts.agreed(made)
        run(storage.path(SOURCE.value), pathlib.Path(target))


def pushed(folder: pathlib.Path) -> None:
  """Uploads what was written, with its card; on host 0."""
  text = card.write(PUSH.value, SOURCE.value, json.loads((folder / 'config.json').read_text()))
  with disk.replacing(folder / 'README.md', 'the model card') as temporary:
    temporary.write_text(text)
  url = hub_upload.push(folder, PUSH.value, PUBLIC.value, kept=bool(TARGET.value))
  print(f'{url}, {"public" if PUBLIC.value else "private"}')


def run(source: pathlib.Path, target: pathlib.Path) -> None:
  """Reads the source, writes the target, prints what was done."""
  elsewhere.bring([str(source)])
  if hosts.agreed(lambda: target.exists() and (not target.is_dir() or any(target.iterdir()))):
    raise ValueError(f'{target} exists and is not an empty directory: choose another --target, or delete it')
  disk.check(target.absolute().parent)
  mesh = sharding.make_mesh()
  tokenizer = tokenizer_lib.load(hub.local(TOKENIZER.value, weights=False)) if TOKENIZER.value else None
  with jax.set_mesh(mesh):
    model = stage.load(source, mesh, tokenizer=tokenizer, progress=True)
    if mode() == TO_HF:
      hf.save(
        target,
        model.config,
        model.params,
        files=model.tokenizer.hub_files(),
        dtype=DTYPE.value,
        shard_bytes=int(SHARD_GB.value * 2**30),
        progress=hosts.first(),
      )
      kind = f'Hugging Face directory in {DTYPE.value}'
    else:
      try:
        with checkpoint.Checkpoints(target / 'checkpoints', keep=None, model=model.saved()) as checkpoints:
          checkpoints.save(0, model.params, {'step': jnp.int32(0)}, {})
      except disk.Unwritable:
        shutil.rmtree(
          target / 'checkpoints', ignore_errors=True
        )  # the target was empty, and the same command wants it so
        raise
      kind = 'checkpoint'
  count = transformer.num_params(model.params)
  hosts.say(
    f'{source} -> {target}: {kind}, {count / 1e6:,.1f} M parameters, vocabulary {model.config.vocab_size} '
    f'({model.tokenizer.vocab_size} in the tokenizer)'
  )
  if kind.startswith('Hugging') and isinstance(model.tokenizer, tokenizer_lib.Tokenizer):
    # transformers 5 gives every qwen2 model Qwen2Tokenizer, whatever its files say.
    hosts.say(
      'its tokenizer is our own: load it with transformers.PreTrainedTokenizerFast.from_pretrained, not AutoTokenizer'
    )
  if PUSH.value:
    hosts.agreed(lambda: pushed(target), 'the upload')


if __name__ == '__main__':
  flags.mark_flag_as_required('source')
  app.run(main, flags_parser=config_lib.parse_flags)
