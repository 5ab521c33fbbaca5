"""VibeThinker-3B (arXiv 2606.16140): Qwen2.5-Coder-3B -> SFT in two stages -> MGPO -> self-distillation -> instruct RL.

  python -m vibethinker_jax.main --config=configs/vibethinker_3b.py --workdir=runs/3b
  --config.base=Qwen/Qwen2.5-Coder-3B

Needs what configs/vibethinker_1p5b.py needs, and a reference model for the difficulty filter (the paper: the 1.5B).
Sizes are for 64 devices (v6e:8x8, v5p:4x4x4); a row of 65 536 positions lies on two of them (axis `context`).
Values marked "not published" are choices of ours.

  python -m vibethinker_jax.main --config=configs/vibethinker_3b.py:rehearsal --workdir=runs/rehearsal

tries every stage with a tiny random model on the rows of configs/rehearsal, on a laptop in minutes; --rehearse does so
with your own files.
"""

import pathlib

from ml_collections import config_dict

from vibethinker_jax.programs import smaller

REFERENCE = 'VibeThinker-1.5B'


def get_config(arg=''):
  if arg == 'rehearsal':
    return smaller.rehearsal(get_config(), pathlib.Path(__file__).parent / 'rehearsal')
  if arg:
    raise ValueError(f"configs/vibethinker_3b.py:{arg}: the argument is 'rehearsal', or nothing")
  config = config_dict.ConfigDict()
  config.seed = 0
  config.base = 'Qwen/Qwen2.5-Coder-3B'
  config.stages = (
    'sft',
    'probe',
    'merge',
    'hard',
    'sft_hard',
    'probe_hard',
    'merge_hard',
    'rl_math',
    'rl_short',
    'rl_code',
    'rl_stem',
    'distill',
    'sft_distill',
    'rl_instruct',
    'evaluate_maths',
    'evaluate_stem',
    'evaluate_code',
  )
  # theta 1 000 000 and 32 768 positions are the base's; how the paper reaches 64K is not published.
  config.model = config_dict.ConfigDict(dict(max_position_embeddings=65_536))
  config.verifier = 'vibethinker_jax.verify.response:verify'
  config.rewards = ()  # (('answer', 1.0), ('format', 0.2), ('mine:judge', 0.5)): summed with weights
  config.correct_at = 1.0  # the reward from which a response counts as correct, of verifiers that return numbers
  config.verify = config_dict.ConfigDict(dict(workers=0, timeout=10.0, memory=2.0, invalid_share=0.5))
  config.sandbox = config_dict.ConfigDict(dict(packages=('numpy', 'sortedcontainers')))  # that programs may import
  config.mesh = config_dict.ConfigDict(dict(data=1, fsdp=-1, tensor=1, context=2))
  config.profile_steps = ()  # (10, 12): traces of these steps of each sft and rl stage, for xprof
  config.compilation_cache = 'auto'  # a directory; '': none
  config.chat_template = ''  # a file with the one to take instead of the model's
  config.chat_template_kwargs = ''  # what it is to know: 'enable_thinking=false,x=1', or a dict
  config.hang_seconds = 0.0  # end a process that finishes nothing for so long; it is reported in any case
  data = dict(
    files='', weights=(), prompt='', response='', answer='', domain='', wording='papers', system='', prefix=''
  )

  # 3B §2.1: packed, global batch 128, 5e-5 -> 8e-8 cosine, 5% linear warm-up; 5 epochs broad, then 2 epochs hard.
  # steps = epochs x tokens of the set / (128 x 65 536).
  sft = dict(
    program='sft',
    domains=(),
    levels=(),
    problems=0,
    batch_size=128,
    length=65_536,
    too_long='drop',
    streams=16,
    micro_batches=4,
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
  broad = data | dict(files='data/sft_*.jsonl.gz')
  config.sft = config_dict.ConfigDict(sft | dict(init_from='base', data=broad, steps=3000))
  # Probing and fusion after both stages. K, n and the sizes are not published.
  sampler = dict(
    max_tokens=63_488,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    slots=1024,
    steps_per_call=64,
    columns=65_536,
    prompt_columns=2048,
    cache='auto',
    cache_dtype='auto',
    cache_tokens=500_000,
    page=0,
  )
  probe = dict(
    program='probe',
    data=data | dict(files='data/probe_*.jsonl'),
    levels=(),
    problems=100,
    samples=16,
    k=8,
    sampler=sampler,
  )
  config.probe = config_dict.ConfigDict(probe | dict(init_from='sft'))
  config.merge = config_dict.ConfigDict(
    dict(program='merge', init_from='sft', probe='probe', weights=(), select='specialists', newest=1)
  )
  # 3B §2.1.2: traces of 5K tokens and more, of queries that the reference model gets wrong in 3/4 of 8 rollouts or
  # more.
  config.hard = config_dict.ConfigDict(
    dict(
      program='filter',
      init_from=REFERENCE,
      data=broad,
      samples=8,
      min_error_rate=0.75,
      min_response_tokens=5000,
      max_repetition=0.3,
      chunk=256,
      sampler=sampler | dict(max_tokens=40_960, columns=43_008, top_p=0.95),
    )
  )
  config.sft_hard = config_dict.ConfigDict(sft | dict(init_from='merge', data=data | dict(files='hard'), steps=400))
  config.probe_hard = config_dict.ConfigDict(probe | dict(init_from='sft_hard'))
  config.merge_hard = config_dict.ConfigDict(
    dict(program='merge', init_from='sft_hard', probe='probe_hard', weights=(), select='specialists', newest=1)
  )

  # 3B §2.2: one 64K window throughout, maths -> code -> STEM, one update per rollout batch. Not published: lambda, the
  # group size, epsilon, the learning rate, the batch, the steps.
  loss = dict(
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
  )
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
    row_length=65_536,
    shortest_row=1024,
    share_prompts=False,
    micro_batch=32,
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
    sampler=sampler,
    loss=loss,
  )
  maths = data | dict(files='data/rl_maths.jsonl')
  config.rl_math = config_dict.ConfigDict(rl | dict(init_from='merge_hard', data=maths))
  # Long2Short (3B §2.2.2), lambda_len = 0.2: a second maths stage that rewards the shorter of the right responses.
  config.rl_short = config_dict.ConfigDict(
    rl | dict(init_from='rl_math', data=maths, steps=100, loss=loss | dict(long2short=0.2))
  )
  config.rl_code = config_dict.ConfigDict(rl | dict(init_from='rl_short', data=data | dict(files='data/rl_code.jsonl')))
  config.rl_stem = config_dict.ConfigDict(
    rl | dict(init_from='rl_code', data=data | dict(files='data/rl_stem.jsonl'), steps=100)
  )

  # 3B §2.3: right responses of the RL checkpoints, ranked by the student's -(1/|y|) log pi inside (domain, length). Not
  # published: which model the student is (here the last one before), the samples, every threshold, bucket and cap, and
  # the settings of its SFT (here those of the other two).
  teacher = dict(domains=(), levels=(), problems=0, max_traces=50_000)
  config.distill = config_dict.ConfigDict(
    dict(
      program='distill',
      init_from='rl_stem',
      sampler=sampler,
      samples=8,
      min_response_tokens=512,
      row_length=65_536,
      micro_batch=32,
      chunk=256,
      teachers=dict(
        maths=teacher | dict(models=('rl_math', 'rl_short'), data=maths),
        code=teacher | dict(models=('rl_code',), data=data | dict(files='data/rl_code.jsonl')),
        stem=teacher | dict(models=('rl_stem',), data=data | dict(files='data/rl_stem.jsonl'), max_traces=25_000),
      ),
      select=dict(
        length_bounds=(4096, 8192, 16_384, 32_768),
        outlier_quantile=0.01,
        low_quantile=0.3,
        high_quantile=0.95,
        per_problem=4,
      ),
    )
  )
  config.sft_distill = config_dict.ConfigDict(
    sft | dict(init_from='rl_stem', data=data | dict(files='distill'), steps=400)
  )
  # 3B §2.4: the same on-policy RL; rule-based validators judge rows that carry `constraints`. The rubric-based reward
  # model for open prompts and its prompts are not published, and not part of this.
  config.rl_instruct = config_dict.ConfigDict(
    rl | dict(init_from='sft_distill', data=data | dict(files='data/rl_instruct.jsonl'), steps=100)
  )

  protocol = sampler | dict(max_tokens=40_960, top_p=0.95, columns=43_008)
  evaluate = dict(
    program='evaluate',
    levels=(),
    problems=0,
    samples=64,
    ks=(1, 8, 64),
    examples=4,
    sampler=protocol,
    models=('init', 'merge', 'merge_hard', 'rl_math', 'rl_short', 'rl_code', 'rl_stem', 'sft_distill', 'rl_instruct'),
  )
  config.evaluate_maths = config_dict.ConfigDict(
    evaluate | dict(data=data | dict(files='data/aime25.parquet,data/hmmt25.parquet'))
  )
  config.evaluate_stem = config_dict.ConfigDict(
    evaluate | dict(data=data | dict(files='data/gpqa_diamond.jsonl'), samples=16, ks=(1, 16))
  )
  config.evaluate_code = config_dict.ConfigDict(
    evaluate
    | dict(
      data=data | dict(files='data/livecodebench_v6.jsonl'),
      samples=8,
      ks=(1, 8),
      sampler=protocol | dict(temperature=0.6),
    )
  )
  return config
