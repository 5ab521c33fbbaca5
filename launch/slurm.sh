#!/usr/bin/env bash
# Runs one of our commands on GPU nodes of a Slurm cluster, one process per node, until it is done.
#
#   sbatch --nodes=2 --gpus-per-node=8 launch/slurm.sh \
#     python -m vibethinker_jax.main --config=configs/vibethinker_1p5b.py --workdir=runs/1p5b --config.base=Qwen/Qwen2.5-Math-1.5B
#
# Submit it in this checkout, on a disk that all nodes see, with a virtual environment in .venv (pip install -e '.[cuda]').
# Options of sbatch go before the script's name and replace those below. Ten minutes before the time limit, and when the job
# is preempted, the command saves and ends, and the job is queued again: the same command goes on. `scancel JOB` ends it for good.
#
# CONTAINER=IMAGE   runs in an image of launch/Dockerfile (--build-arg EXTRA=cuda) instead, where the cluster has pyxis.
#
#SBATCH --job-name=vibe
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

[[ $# -gt 0 ]] || { echo 'error: give the command after the name of the script' >&2; exit 2; }
[[ -n ${SLURM_JOB_ID:-} ]] || { echo 'error: to be started by sbatch' >&2; exit 2; }
options=()
if [[ -n ${CONTAINER:-} ]]; then
  options=(--container-image="$CONTAINER" --container-mounts="$PWD:$PWD" --container-workdir="$PWD")
elif [[ -f .venv/bin/activate ]]; then
  # shellcheck source=/dev/null
  source .venv/bin/activate
fi
export PYTHONUNBUFFERED=1

# JAX reads from Slurm's environment which process is which. A process of the node takes all its cores: without being told,
# srun would give it one. Hosts end together by themselves, and are given the time for it.
status=0
srun --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" --kill-on-bad-exit=0 --wait=300 --label \
  ${options[@]+"${options[@]}"} "$@" || status=$?

if ((status == 143)); then  # what our commands end with when they have saved after SIGTERM
  echo "saved; job $SLURM_JOB_ID is queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
