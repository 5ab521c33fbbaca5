#!/usr/bin/env bash
# Runs one of our commands on all hosts of a TPU slice (Google Cloud TPU VMs), and again after a preemption.
#
#   TPU=vibe ZONE=us-west4-a TYPE=v5litepod-16 SPOT=1 launch/tpu_vm.sh \
#     python -m vibethinker_jax.main --config=configs/vibethinker_1p5b.py --workdir=gs://my-bucket/runs/1p5b --config.base=Qwen/Qwen2.5-Math-1.5B
#
# It creates the slice, or takes the one of that name; copies this checkout there and installs it; starts the command on
# every host; and shows the log of the first one. Started again while the command runs, it only shows the log; Ctrl-C
# leaves the command running (but nothing then starts it again: keep this in tmux). `launch/tpu_vm.sh stop` stops it (it
# saves first), `launch/tpu_vm.sh delete` deletes the slice. Needs gcloud, logged in, and `ssh-add
# ~/.ssh/google_compute_engine` where that key has a passphrase. The exit status is the command's.
#
# TPU, ZONE, TYPE   name, zone and accelerator type of the slice.
# VERSION           software version of its machines; known for v4, v5e, v5p and v6e.
# SPOT=1            a slice that is cheaper and may be taken away; it is created anew as often as needed.
# BUCKET            Cloud Storage bucket to mount at /gcs on every host, with sudo. Not needed where workdir, models and data
#                   are gs:// or names of the Hub; else they must lie where all hosts see them. Use one with a
#                   hierarchical namespace (directories are then renamed at once).
# PREPARE           a command for every host before the start, such as one that mounts another shared disk.
# RESTARTS          how often a command is started again that failed by itself after ten minutes or more (default 3).
# WAIT              seconds between two looks at the slice (default 30).
set -euo pipefail

exec 9>&2  # also from within a command whose errors go elsewhere, as where a trap finds it
say() { echo "tpu_vm: $*" >&9; }
fail() { say "error: $*"; exit 1; }

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# -gt 0 ]] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; exit 2; }
for name in TPU ZONE; do [[ -n ${!name:-} ]] || fail "set $name (launch/tpu_vm.sh without arguments explains)"; done
WAIT=${WAIT:-30} restarts=${RESTARTS:-3}
SCRATCH=$(mktemp -d)
leave() {
  local status=$?
  rm -rf "$SCRATCH"
  [[ $status != 130 || -z $watching ]] || say 'the command goes on; the same line shows its log again'
}
watching=''  # whether the command was seen, or started
trap leave EXIT
trap 'exit 130' INT

tpu() { local verb=$1; shift; gcloud compute tpus tpu-vm "$verb" "$@" --zone="$ZONE" --quiet; }

on() {  # HOSTS FUNCTION ARGUMENTS...: of on_host.sh on these hosts ('all' or numbers); errors are in $SCRATCH/ssh
  local hosts=$1 quoted; shift
  printf -v quoted '%q ' "$@"
  tpu ssh "$TPU" --worker="$hosts" --ssh-flag='-o ConnectTimeout=15 -o ServerAliveInterval=10 -o ServerAliveCountMax=3' \
    --command="if [ -d vibethinker/repo ]; then bash vibethinker/repo/launch/on_host.sh ${quoted}; else echo none - 0 0 -; fi" \
    2> "$SCRATCH/ssh" < /dev/null
}

must() { "$@" || { cat "$SCRATCH/ssh" >&2; fail "'$3' failed on a host of $TPU"; }; }

slice() {  # prints the slice's state as gcloud names it, ABSENT, or nothing if that cannot be found out now
  tpu describe "$TPU" --format='value(state)' 2> "$SCRATCH/describe" && return
  if grep -q NOT_FOUND "$SCRATCH/describe"; then echo ABSENT; else cat "$SCRATCH/describe" >&2; fi
}

create() {
  [[ -n ${TYPE:-} ]] || fail "there is no slice $TPU in $ZONE: set TYPE to create it, such as TYPE=v5litepod-16"
  local version=${VERSION:-}
  if [[ -z $version ]]; then
    case $TYPE in
      v4-*) version=tpu-ubuntu2204-base ;;
      v5litepod-*) version=v2-alpha-tpuv5-lite ;;
      v5p-*) version=v2-alpha-tpuv5 ;;
      v6e-*) version=v2-alpha-tpuv6e ;;
      *) fail "no VERSION is known for TYPE=$TYPE: choose one of 'gcloud compute tpus tpu-vm versions list --zone=$ZONE'" ;;
    esac
  fi
  say "creating $TPU: $TYPE in $ZONE${SPOT:+, spot}"
  if ! tpu create "$TPU" --accelerator-type="$TYPE" --version="$version" ${SPOT:+--spot} 2>&1 | tee "$SCRATCH/create" >&2; then
    # No room today is no reason to give up; a wrong name, quota or permission is.
    grep -qiE 'no more capacity|stockout|UNAVAILABLE|"code": (13|14)\b' "$SCRATCH/create" || fail "$TPU cannot be created"
    sleep "$WAIT"
  fi
}

launch() {  # COMMAND...
  say "copying this checkout to $TPU and installing it"
  cd "$ROOT"
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
    COPYFILE_DISABLE=1 tar -czf "$SCRATCH/vibethinker.tgz" --null -T -
  (($(wc -c < "$SCRATCH/vibethinker.tgz") < 200000000)) || fail "$ROOT has more than 200 MB of files that git does not \
ignore: models and data belong in the bucket"
  tpu scp "$SCRATCH/vibethinker.tgz" "$TPU:" --worker=all 2> "$SCRATCH/ssh" || { cat "$SCRATCH/ssh" >&2; fail "no copy to $TPU"; }
  tpu ssh "$TPU" --worker=all --command="mkdir -p vibethinker && cd vibethinker && rm -rf repo && mkdir repo && \
tar -xzf ../vibethinker.tgz -C repo" 2> "$SCRATCH/ssh" < /dev/null || { cat "$SCRATCH/ssh" >&2; fail "no copy to $TPU"; }
  must on all install "${BUCKET:-}" "${PREPARE:-}"
  say "starting on every host: $*"
  watching=1
  must on all start "$@"
}

seen=-1  # bytes of the log that were shown
look() {  # shows what is new in the log, for at most WAIT seconds; sets job, status, ran, sum and running (the command)
  local from shown
  exec 3< <(on 0 look "$seen" "$WAIT")
  if read -r job status ran from sum running <&3; then
    # tee opens its file anew, which would empty one that stdout is redirected to: it gets the pipe to wc.
    { shown=$({ tee /dev/fd/5 <&3 >&4; } 5>&1 | wc -c); } 4>&1
    seen=$((from + shown))
  else
    job=unreachable
  fi
  exec 3<&-
}

command_() {  # COMMAND...
  local ours known='' wanted
  wanted=$(printf '%s\n' "$@" | cksum)
  while true; do
    ours=$(slice)
    [[ -n $known$ours ]] || fail "gcloud cannot say what $TPU is"
    known=1
    case $ours in
      READY) ;;
      ABSENT) create; seen=-1; continue ;;
      PREEMPTED | TERMINATED) say "$TPU was taken away ($ours)"; tpu delete "$TPU" || sleep "$WAIT"; continue ;;
      STOPPED) say "starting $TPU"; tpu start "$TPU"; continue ;;
      *) say "$TPU is ${ours:-not to be seen now}"; sleep "$WAIT"; continue ;;
    esac
    look
    case $job in
      running)
        [[ $sum == "${wanted%% *}" ]] || fail "another command runs there: $running ('launch/tpu_vm.sh stop' stops it)"
        watching=1 ;;
      unreachable) say "the first host does not answer: $(tail -n 1 "$SCRATCH/ssh")"; sleep "$WAIT" ;;
      none) launch "$@"; seen=0 ;;
      lost) say 'the machines were started again'; launch "$@" ;;
      *)
        if [[ -z $watching ]]; then launch "$@"; continue; fi  # it is of an earlier time
        [[ $job != stopped ]] || { say 'it was stopped'; exit "$status"; }
        ((status != 0)) || { say 'done'; exit 0; }
        if ((status == 143)); then sleep "$WAIT"; [[ $(slice) == READY ]] || continue; fi  # the slice is being taken away
        if ((status != 143 && ran < 600)) || ((restarts == 0)); then say "the command failed with status $status"; exit "$status"; fi
        say "the command failed with status $status after $ran s: starting it again ($((restarts -= 1)) more times)"
        launch "$@" ;;
    esac
  done
}

case $1 in
  stop) must on all stop ''; say "the command on $TPU has ended" ;;
  delete) tpu delete "$TPU" ;;
  *) command_ "$@" ;;
esac
