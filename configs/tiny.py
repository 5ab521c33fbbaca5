"""The whole recipe on a laptop: a 0.4M-parameter Qwen2-style model on synthetic problems.

  python -m vibethinker_jax.main --config=configs/tiny.py --workdir=runs/tiny

About 25 minutes of CPU time, on 2 cores half of that; see README.md for the numbers of such a run.
"""

from ml_collections import config_dict


def get_config():
  config = config_dict.ConfigDict()
  config.seed = 0
  config.domains = ('algebra', 'geometry', 'calculus', 'statistics', 'code')
  config.stages = ('pretrain', 'sft', 'probe', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code', 'evaluate')
  # Two templates a maths domain are what this model can learn in minutes; () is all of them.
  config.templates = (
    'linear_equation',
    'polynomial_value',
    'l_shape',
    'similar_side',
    'power_rule',
    'limit',
    'mean',
    'missing',
    'filter_numbers',
    'map_numbers',
    'neighbours',
    'two_lists',
    'ranges',
  )
  config.base = 'scratch'  # or a name of the Hugging Face Hub, or a directory (configs/gsm8k.py)
  config.model = config_dict.ConfigDict(
    dict(
      vocab_size=0,  # the tokenizer's
      hidden_size=96,
      num_hidden_layers=3,
      num_attention_heads=3,
      num_key_value_heads=1,
      head_dim=32,
      intermediate_size=288,
      rope_theta=10_000.0,
      rms_norm_eps=1e-6,
      attention_bias=True,
      tie_word_embeddings=True,
      initializer_range=0.02,
    )
  )
  config.tokenizer = config_dict.ConfigDict(dict(path='', vocab_size=576, problems=8000, levels=(1,)))
  config.verifier = 'vibethinker_jax.verify.response:verify'  # maths answers and code tests
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
  maths = ('algebra', 'geometry', 'calculus', 'statistics')

  # Files of your own: data.files=traces.jsonl, and names of their fields where they are not found.
  data = dict(
    files='', weights=(), prompt='', response='', answer='', domain='', wording='papers', system='', prefix=''
  )
  # The base that the papers start from: a model that has seen endless problems, each solved in one of several ways.
  sft = dict(
    program='sft',
    init_from='scratch',
    data=data,
    domains=maths * 3 + ('code',),
    levels=(1,),
    problems=1_000_000,
    steps=1500,
    batch_size=16,
    length=160,
    too_long='error',
    streams=1,
    micro_batches=1,
    learning_rate=4e-3,
    final_learning_rate=1.5e-3,
    warmup_percent=5.0,
    beta2=0.95,
    weight_decay=0.01,
    clip_norm=1.0,
    moments_dtype='float32',
    checkpoint_steps=750,
    log_steps=10,
    remat='none',
    attention='auto',
    unroll=True,
    max_skipped=10,
  )
  config.pretrain = config_dict.ConfigDict(sft)
  # Spectrum: SFT, ten epochs over 2 000 traces. Pass@1 rises to the end, Pass@K has its peak before, and in every
  # subdomain at another time: the checkpoints to choose specialists from.
  config.sft = config_dict.ConfigDict(
    sft
    | dict(
      init_from='pretrain',
      problems=2000,
      steps=600,
      learning_rate=1.5e-3,
      final_learning_rate=1e-4,
      warmup_percent=2.0,
      checkpoint_steps=75,
    )
  )
  # All stages sample with the same cache shape, so that decoding is compiled once.
  sampler = dict(
    max_tokens=112,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    slots=32,
    steps_per_call=16,
    columns=160,
    prompt_columns=48,
    cache='auto',
    cache_dtype='auto',
    cache_tokens=0,
    page=0,
  )
  config.probe = config_dict.ConfigDict(
    dict(program='probe', init_from='sft', data=data, levels=(1,), problems=60, samples=8, k=8, sampler=sampler)
  )
  config.merge = config_dict.ConfigDict(
    dict(program='merge', init_from='sft', probe='probe', weights=(), select='specialists', newest=1)
  )

  # Signal: MGPO. The paper's 16K and 32K context windows are 56 and 112 response tokens here.
  rl = dict(
    program='rl',
    data=data,
    domains=maths,
    levels=(1,),
    problems=200,
    steps=45,
    prompts=32,
    group=8,
    token_budget=0,
    max_rounds=3,
    oversample=1.0,
    carry=0,
    filter_samples=8,
    updates=1,
    minibatches=1,
    row_length=160,
    shortest_row=1024,
    share_prompts=False,
    micro_batch=16,
    learning_rate=2e-4,
    warmup_steps=5,
    beta2=0.95,
    weight_decay=0.0,
    clip_norm=1.0,
    moments_dtype='float32',
    recompute_logps=False,
    checkpoint_steps=20,
    examples_steps=10,
    remat='none',
    attention='auto',
    unroll=True,
    max_skipped=5,
    loss=dict(
      strength=4.0,
      target=0.5,
      normalise='std',
      aggregation='sequence_mean',
      clip_low=0.2,
      clip_high=0.2,
      importance_cap=0.0,
      long2short=0.0,
      kl=0.0,
      kl_estimate='k3',  # k1, k2
      relative_weight=False,  # the weight over its mean in the batch
      objective='clipped',  # cispo
      ratio='token',  # sequence: GSPO
      importance_band=(),  # (0.5, 5.0): IcePop
      mask_truncated=False,
      overlong_cache=0,  # tokens; DAPO: a fifth of max_tokens
      entropy=0.0,
      entropy_target=0.0,  # nats; the coefficient then adapts
      entropy_delta=1e-4,
      entropy_max=5e-3,
    ),
  )
  config.rl_math_16k = config_dict.ConfigDict(rl | dict(init_from='merge', sampler=sampler | dict(max_tokens=56)))
  config.rl_math_32k = config_dict.ConfigDict(
    rl | dict(init_from='rl_math_16k', steps=30, learning_rate=1e-4, sampler=sampler)
  )
  config.rl_code = config_dict.ConfigDict(
    rl | dict(init_from='rl_math_32k', domains=('code',), prompts=24, steps=30, learning_rate=2e-4, sampler=sampler)
  )

  config.evaluate = config_dict.ConfigDict(
    dict(
      program='evaluate',
      models=('pretrain', 'merge', 'rl_math_16k', 'rl_math_32k', 'rl_code'),
      data=data,
      levels=(1,),
      problems=250,
      samples=4,
      ks=(1, 2, 4),
      examples=4,
      sampler=sampler,
    )
  )
  return config
