"""SmolLM2-135M on GSM8K: SFT on the worked solutions, then MGPO on the same prompts, before and after on the test set.

  python -m vibethinker_jax.main --config=configs/gsm8k.py --workdir=runs/gsm8k              # one GPU
  python -m vibethinker_jax.main --config=configs/gsm8k.py:runlocal --workdir=runs/local     # a few steps on a CPU

The model (270 MB) and the two files come from the Hugging Face Hub at the first start. Copies of yours, or others:
  --config.base=... --config.sft.data.files=... --config.rl.data.files=... --config.evaluate.data.files=...
(a directory or a name of the Hub; paths or URLs of rows with question and answer, that ending in '#### 72').
"""

from ml_collections import config_dict

GSM8K = 'hf://datasets/openai/gsm8k@740312add88f781978c0658806c59bc2815b9866/main'


def get_config(arg=''):
  if arg not in ('', 'runlocal'):
    raise ValueError(f"configs/gsm8k.py: unknown argument {arg!r}; 'runlocal' is a few steps on a CPU")
  local = arg == 'runlocal'
  config = config_dict.ConfigDict()
  config.seed = 0
  config.base = 'HuggingFaceTB/SmolLM2-135M-Instruct'
  config.stages = ('sft', 'rl', 'evaluate')
  config.model = config_dict.ConfigDict()
  config.verifier = 'vibethinker_jax.verify.response:verify'
  config.rewards = ()  # (('answer', 1.0), ('format', 0.2), ('mine:judge', 0.5)): summed with weights
  config.correct_at = 1.0  # the reward from which a response counts as correct, of verifiers that return numbers
  config.verify = config_dict.ConfigDict(dict(workers=0, timeout=10.0, memory=2.0, invalid_share=0.5))
  config.sandbox = config_dict.ConfigDict(dict(packages=('numpy', 'sortedcontainers')))  # that programs may import
  config.mesh = config_dict.ConfigDict(dict(data=1, fsdp=-1, tensor=1, context=1))
  config.profile_steps = ()  # (10, 12): traces of these steps of each sft and rl stage, for xprof
  config.compilation_cache = 'auto'  # a directory; '': none
  config.chat_template = ''  # a file with the one to take instead of the model's
  config.chat_template_kwargs = ''  # what it is to know: 'enable_thinking=false,x=1', or a dict
  config.hang_seconds = 0.0  # end a process that finishes nothing for so long; it is reported in any case

  data = dict(
    files=f'{GSM8K}/train-00000-of-00001.parquet',
    weights=(),
    prompt='',
    response='',
    answer='',
    domain='',
    wording='papers',
    system='',
    prefix='',
  )
  config.sft = config_dict.ConfigDict(
    dict(
      program='sft',
      init_from='base',
      data=data | dict(response='solution|answer'),
      domains=(),
      levels=(),
      problems=0,
      steps=4 if local else 700,
      batch_size=2 if local else 16,
      length=512 if local else 1024,
      too_long='error',
      streams=1,
      micro_batches=1,
      learning_rate=1e-4,
      final_learning_rate=1e-6,
      warmup_percent=5.0,
      beta2=0.95,
      weight_decay=0.0,
      clip_norm=1.0,
      moments_dtype='float32',
      checkpoint_steps=2 if local else 175,
      log_steps=1 if local else 10,
      remat='none',
      attention='auto',
      unroll=False,
      max_skipped=10,
    )
  )
  sampler = dict(
    max_tokens=48 if local else 320,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    slots=8 if local else 512,
    steps_per_call=32,
    columns=0,
    prompt_columns=0,
    cache='auto',
    cache_dtype='auto',
    cache_tokens=0,
    page=0,
  )
  config.rl = config_dict.ConfigDict(
    dict(
      program='rl',
      init_from='sft',
      data=data,
      domains=(),
      levels=(),
      problems=16 if local else 0,
      steps=2 if local else 100,
      prompts=4 if local else 64,
      group=4 if local else 8,
      token_budget=0,
      max_rounds=2,
      oversample=1.0,
      carry=0,
      filter_samples=0 if local else 4,
      updates=1,
      minibatches=1,
      row_length=512 if local else 1024,
      shortest_row=1024,
      share_prompts=False,
      micro_batch=2 if local else 8,
      learning_rate=2e-6,
      warmup_steps=1 if local else 5,
      beta2=0.95,
      weight_decay=0.0,
      clip_norm=1.0,
      moments_dtype='float32',
      recompute_logps=False,
      checkpoint_steps=25,
      examples_steps=10,
      remat='none',
      attention='auto',
      unroll=False,
      max_skipped=5,
      sampler=sampler,
      loss=dict(
        strength=2.0,
        target=0.5,
        normalise='std',
        aggregation='sequence_mean',
        clip_low=0.2,
        clip_high=0.28,
        importance_cap=0.0,
        long2short=0.0,
        kl=0.0,
        kl_estimate='k3',
        relative_weight=False,
        objective='clipped',
        ratio='token',
        importance_band=(),
        mask_truncated=False,
        overlong_cache=0,
        entropy=0.0,
        entropy_target=0.0,
        entropy_delta=1e-4,
        entropy_max=5e-3,
      ),
    )
  )
  config.evaluate = config_dict.ConfigDict(
    dict(
      program='evaluate',
      models=('init', 'sft', 'rl'),
      data=data | dict(files=f'{GSM8K}/test-00000-of-00001.parquet'),
      levels=(),
      problems=4 if local else 0,
      samples=2 if local else 4,
      ks=(1, 2) if local else (1, 2, 4),
      examples=8,
      sampler=sampler,
    )
  )
  return config
