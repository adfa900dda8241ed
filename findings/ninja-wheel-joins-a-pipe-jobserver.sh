#!/usr/bin/env bash
# The ninja that PyPI ships takes tokens from a GNU make jobserver made of a pipe. Upstream's ninja 1.13 takes a FIFO alone.
#
# Seen with: ninja 1.13.0 from PyPI, whose version says `git.kitware.jobserver-pipe-1`.
# Expected:  ninja's manual names `fifo:PATH` only; with `R,W` descriptors it should warn, and run as many jobs as it likes.
# Behaviour: with a pipe that holds one token, at most two jobs run at a time (the token and the implicit one), although
#            the machine and the graph allow for eight. Without MAKEFLAGS more than two run side by side.
# Matters:   a build that shares processors by a pipe reaches this ninja, and not the one of a distribution.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ninja==1.13.0

cat > run.sh <<'SH'
#!/bin/sh
# Notes how many of us run now, then waits.
mkdir "running.$1"
ls -d running.* | wc -l >> counts
sleep 0.4
rmdir "running.$1"
SH
{
  printf 'rule run\n  command = sh run.sh $out && touch $out\n'
  for n in 1 2 3 4 5 6 7 8; do printf 'build step%s: run\n' "$n"; done
} > build.ninja

most() { # the largest number of jobs that were seen side by side
  rm -rf counts step[1-8]
  "$@" > log 2>&1
  sort -n counts | tail -n 1
}
# 8 processors are assumed by name: ninja's own number depends on the machine.
free=$(most venv/bin/ninja -j8)
pipe=$(most python3 - <<'PY'
import os, subprocess
read, write = os.pipe()
os.write(write, b"+")
os.set_inheritable(read, True)
os.set_inheritable(write, True)
environment = {**os.environ, "MAKEFLAGS": f" -j8 --jobserver-auth={read},{write}"}
subprocess.run(["venv/bin/ninja"], check=True, pass_fds=(read, write), env=environment)
PY
)
version=$(venv/bin/ninja --version)
echo "$version: without a jobserver $free side by side, with one token in a pipe $pipe"
case $version in 1.13.0.git.kitware.jobserver-pipe-1) ;; *) echo 'another version than expected'; exit 1 ;; esac
[ "$free" -gt 2 ] && [ "$pipe" -le 2 ]
