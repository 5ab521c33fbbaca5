"""VibeThinker-1.5B (arXiv 2511.06221): Qwen2.5-Math-1.5B -> SFT, probing, fusion -> MGPO on maths at 16K and 32K, then
code.

  python -m vibethinker_jax.main --config=configs/vibethinker_1p5b.py --workdir=runs/1p5b
  --config.base=Qwen/Qwen2.5-Math-1.5B

Needs the base model (a name of the Hugging Face Hub, or a directory), and data (see README.md, "Your own problems";
paths, or URLs such as hf://datasets/OWNER/NAME/train.jsonl): worked solutions for SFT, probing sets whose rows name
their subdomain in `domain`, problems with answers or tests for RL, and the evaluation sets. Run
`vibethinker_jax.decontaminate` over the first three. Sizes are for 16 devices (v5e:4x4, v6e:4x4) and fit the 8 of a
v5p:2x2x2; --config=configs/vibethinker_1p5b.py:256 is for 256: a row of the global batch lies on two of them (axis
`context`). `python -m vibethinker_jax.plan` says what fits. Values marked "not published" are choices of ours.

  python -m vibethinker_jax.main --config=configs/vibethinker_1p5b.py:rehearsal --workdir=runs/rehearsal

tries every stage with a tiny random model on the rows of configs/rehearsal, on a laptop in minutes; --rehearse does so
with your own files.
"""

import pathlib

from ml_collections import config_dict

from vibethinker_jax.programs import smaller


def get_config(arg='16'):
  if arg == 'rehearsal':
    return smaller.rehearsal(get_config(), pathlib.Path(__file__).parent / 'rehearsal')
  if not arg.isdigit() or int(arg) < 1:
    raise ValueError(
      f"configs/vibethinker_1p5b.py:{arg}: the argument is 'rehearsal', or the number of devices, 16 or 256 for example"
    )
  devices = int(arg)
  context = -(-devices // 128)  # the global batch of SFT has 128 rows
  rows = devices // context  # that devices have at once, a part of a row counted as that part
  config = config_dict.ConfigDict()
  config.seed = 0
  config.base = 'Qwen/Qwen2.5-Math-1.5B'
  config.stages = (
    'sft',
    'probe',
    'merge',
    'rl_math_16k',
    'rl_math_32k',
    'rl_code',
    'evaluate_maths',
    'evaluate_math500',
    'evaluate_code',
  )
  # The base was trained at 4 096; the released model serves 40 960. Its RoPE theta is not published: that of the base.
  config.model = config_dict.ConfigDict(dict(max_position_embeddings=40_960))
  config.verifier = 'vibethinker_jax.verify.response:verify'
  config.rewards = ()  # (('answer', 1.0), ('format', 0.2), ('mine:judge', 0.5)): summed with weights
  config.correct_at = 1.0  # the reward from which a response counts as correct, of verifiers that return numbers
  config.verify = config_dict.ConfigDict(dict(workers=0, timeout=10.0, memory=2.0, invalid_share=0.5))
  config.sandbox = config_dict.ConfigDict(dict(packages=('numpy', 'sortedcontainers')))  # that programs may import
  config.mesh = config_dict.ConfigDict(dict(data=1, fsdp=-1, tensor=1, context=context))
  config.profile_steps = ()  # (10, 12): traces of these steps of each sft and rl stage, for xprof
  config.compilation_cache = 'auto'  # a directory; '': none
  config.chat_template = ''  # a file with the one to take instead of the model's
  config.chat_template_kwargs = ''  # what it is to know: 'enable_thinking=false,x=1', or a dict
  config.hang_seconds = 0.0  # end a process that finishes nothing for so long; it is reported in any case
  data = dict(
    files='', weights=(), prompt='', response='', answer='', domain='', wording='papers', system='', prefix=''
  )

  # SFT settings of the 1.5B are not published; these are the 3B's (3B §2.1): global batch 128, 5e-5 -> 8e-8 cosine, 5%
  # warm-up, 5 epochs. remat: by the compiler's schedule attention_qkv would be no faster, and a 32K row of MGPO would
  # not fit a v5e. steps = epochs x tokens of the set / (128 x 32 768); 3 000 are 2.5 billion tokens five times.
  config.sft = config_dict.ConfigDict(
    dict(
      program='sft',
      init_from='base',
      data=data | dict(files='data/sft_*.jsonl.gz'),
      domains=(),
      levels=(),
      problems=0,
      steps=3000,
      batch_size=128,
      length=32_768,
      too_long='drop',
      streams=16,
      micro_batches=max(1, 128 // rows),
      learning_rate=5e-5,
      final_learning_rate=8e-8,
      warmup_percent=5.0,
      beta2=0.95,
      weight_decay=0.0,
      clip_norm=1.0,
      moments_dtype='float32',
      checkpoint_steps=200,
      log_steps=1,
      remat='attention',
      attention='auto',
      unroll=False,
      max_skipped=10,
    )
  )
  # Four subdomains, Pass@K, argmax per subdomain, 1/N each (1.5B §3.3). K, n and the sizes are not published.
  # 360 000 tokens in the cache of a device are 9.6 GiB: with the weights all that a v5e has. v6e and v5p hold 2 and 8
  # times as many.
  sampler = dict(
    max_tokens=15_360,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    slots=64 * devices,
    steps_per_call=64,
    columns=16_384,
    prompt_columns=1024,
    cache='auto',
    cache_dtype='auto',
    cache_tokens=360_000,
    page=0,
  )
  config.probe = config_dict.ConfigDict(
    dict(
      program='probe',
      init_from='sft',
      data=data | dict(files='data/probe_*.jsonl'),
      levels=(),
      problems=100,
      samples=16,
      k=8,
      sampler=sampler,
    )
  )
  config.merge = config_dict.ConfigDict(
    dict(program='merge', init_from='sft', probe='probe', weights=(), select='specialists', newest=1)
  )

  # MGPO (1.5B §3.4): no KL term, symmetric clip, sequence mean of token means. Not published: lambda (`strength`), the
  # group size, epsilon, the learning rate, the batch, the steps. 1e-6 and 128 prompts are what others train 1.5B with.
  rl = dict(
    program='rl',
    domains=(),
    levels=(),
    problems=0,
    steps=400,
    prompts=128,
    group=8,
    token_budget=0,
    max_rounds=3,
    oversample=1.0,
    carry=0,
    filter_samples=8,
    updates=1,
    minibatches=1,
    row_length=16_384,
    shortest_row=1024,
    share_prompts=False,
    micro_batch=2 * rows,
    learning_rate=1e-6,
    warmup_steps=10,
    beta2=0.95,
    weight_decay=0.0,
    clip_norm=1.0,
    moments_dtype='float32',
    recompute_logps=False,
    checkpoint_steps=20,
    examples_steps=10,
    remat='attention',
    attention='auto',
    unroll=False,
    max_skipped=5,
    loss=dict(
      strength=2.0,
      target=0.5,
      normalise='std',
      aggregation='sequence_mean',
      clip_low=0.2,
      clip_high=0.2,
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
  maths = data | dict(files='data/rl_maths.jsonl')
  config.rl_math_16k = config_dict.ConfigDict(rl | dict(init_from='merge', data=maths, sampler=sampler))
  wide = sampler | dict(max_tokens=31_744, columns=32_768)
  config.rl_math_32k = config_dict.ConfigDict(
    rl | dict(init_from='rl_math_16k', data=maths, row_length=32_768, micro_batch=rows, sampler=wide)
  )
  config.rl_code = config_dict.ConfigDict(
    rl
    | dict(
      init_from='rl_math_32k',
      data=data | dict(files='data/rl_code.jsonl'),
      row_length=32_768,
      micro_batch=rows,
      sampler=wide,
    )
  )

  # method: responses of at most 40 960 tokens, top-p 0.95, temperature 1 (code 0.6); 64 samples, code 8.
  protocol = sampler | dict(max_tokens=40_960, top_p=0.95, columns=43_008, prompt_columns=2048)
  stages = ('init', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code')
  evaluate = dict(
    program='evaluate', models=stages, levels=(), problems=0, samples=64, ks=(1, 8, 64), examples=4, sampler=protocol
  )
  config.evaluate_maths = config_dict.ConfigDict(
    evaluate | dict(data=data | dict(files='data/aime24.parquet,data/aime25.parquet,data/hmmt25.parquet'))
  )
  config.evaluate_math500 = config_dict.ConfigDict(evaluate | dict(data=data | dict(files='data/math500.jsonl')))
  config.evaluate_code = config_dict.ConfigDict(
    evaluate
    | dict(
      data=data | dict(files='data/livecodebench_v5.jsonl,data/livecodebench_v6.jsonl'),
      samples=8,
      ks=(1, 8),
      sampler=protocol | dict(temperature=0.6),
    )
  )
  return config
