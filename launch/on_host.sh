#!/usr/bin/env bash
# What tpu_vm.sh does on each host of a slice. ~/vibethinker has the checkout (repo), its venv, and of the command: pid
# (who keeps it), child (the command itself), boot, command (checksum and words), log, status when it ended, stopped if that was asked for.
set -euo pipefail
cd ~/vibethinker
BOOT=/proc/sys/kernel/random/boot_id

state() {  # prints none, running, stopped, ended or lost (the machine was started again)
  if [[ ! -f pid ]]; then echo none
  elif [[ -f status ]]; then if [[ -f stopped ]]; then echo stopped; else echo ended; fi
  elif [[ $(cat boot) == "$(cat $BOOT)" ]] && kill -0 "$(cat pid)" 2> /dev/null; then echo running
  else echo lost; fi
}

install() {  # BUCKET PREPARE
  # The machines come with an older Python than we need: uv brings one.
  [[ -x uv/bin/uv ]] || python3 -m pip install --quiet --target=uv uv
  uv/bin/uv venv --quiet --allow-existing --python=3.12 venv
  uv/bin/uv pip install --quiet --python=venv/bin/python --editable='repo[tpu,gcs]'
  if [[ -n $1 ]] && ! mountpoint -q /gcs; then
    if ! command -v gcsfuse > /dev/null; then
      local key=/usr/share/keyrings/cloud.google.asc packages=https://packages.cloud.google.com/apt
      curl -fsS $packages/doc/apt-key.gpg | sudo tee $key > /dev/null
      echo "deb [signed-by=$key] $packages gcsfuse-$(lsb_release -cs) main" | sudo tee /etc/apt/sources.list.d/gcsfuse.list
      # Fresh machines update themselves at first: wait for them.
      sudo apt-get -o DPkg::Lock::Timeout=600 update -q
      sudo apt-get -o DPkg::Lock::Timeout=600 install -q -y gcsfuse
    fi
    sudo mkdir -p /gcs && sudo chown "$(id -u):$(id -g)" /gcs
    # Nothing is remembered of a file's absence or size: another host may have written it a moment ago.
    gcsfuse --implicit-dirs --rename-dir-limit=100000 --metadata-cache-ttl-secs=0 "$1" /gcs
  fi
  [[ -z $2 ]] || (cd repo && bash -c "$2")
}

start() {  # COMMAND...
  [[ $(state) != running ]] || { echo "error: $(hostname): a command runs already: $(cut -d " " -f 2- command)" >&2; exit 1; }
  rm -f pid child status stopped
  cat $BOOT > boot
  echo "$(printf '%s\n' "$@" | cksum | cut -d ' ' -f 1) $*" | tr '\n' ' ' > ./command
  date +%s > started
  setsid nohup bash repo/launch/on_host.sh keep "$@" >> log 2>&1 < /dev/null &
  until [[ -f child ]]; do sleep 0.1; done
}

keep() {  # COMMAND...: runs it, and leaves its status
  export PATH=$PWD/venv/bin:$PATH PYTHONUNBUFFERED=1
  trap : TERM  # a machine that goes down tells all its processes; the command is given the time that is left
  local status
  (cd repo && exec "$@") &
  echo $$ > pid
  echo $! > child
  while true; do
    status=0
    wait "$(cat child)" || status=$?
    kill -0 "$(cat child)" 2> /dev/null || break  # else it was the signal that ended the waiting
  done
  echo $(($(date +%s) - $(cat started))) > ran
  echo "$status" > status
}

look() {  # FROM SECONDS: a line of what is known, then the log from byte FROM on (-1: its last lines) for some seconds
  local now from=$1 size status=- ran=0
  now=$(state)
  [[ $now != none ]] || { echo 'none - 0 0 -'; return; }
  size=$(stat -c %s log)
  if ((from < 0 || from > size)); then from=$((size - $(tail -n 20 log | wc -c))); fi
  [[ ! -f status ]] || { status=$(cat status) ran=$(cat ran); }
  echo "$now $status $ran $from $(cat command)"
  if [[ $now == running ]]; then
    timeout "$2" tail -c +$((from + 1)) -f -s 0.5 --pid="$(cat pid)" log || true
  else
    tail -c +$((from + 1)) log
  fi
}

stop() {  # asks the command to save and end, and waits for that
  [[ $(state) == running ]] || return 0
  touch stopped
  kill -TERM "$(cat child)"
  for ((i = 0; i < 1200; i++)); do [[ $(state) == running ]] || return 0; sleep 0.5; done
  echo "error: $(hostname): the command does not end: $(cut -d " " -f 2- command)" >&2
  exit 1
}

"$@"
