#!/usr/bin/env bash
# Which file of settings reaches every setuptools: ~/.pydistutils.cfg does, the one that DIST_EXTRA_CONFIG names does not.
#
# Seen with: setuptools 49.6.0, 59.8.0, 65.5.0 and 84.2.1 on CPython 3.11.
# Expected:  DIST_EXTRA_CONFIG, which setuptools documents, works wherever a pyproject.toml may pin setuptools to.
# Behaviour: DIST_EXTRA_CONFIG is unknown to 49.6.0 and 59.8.0 and says nothing; ~/.pydistutils.cfg, which comes from
#            distutils and is called legacy, is read by all four.
# Matters:   a frontend that wants `[build_ext] parallel` for old sdists has to write the file into a home folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir home empty
printf '[build_ext]\nparallel = 2\n' > home/.pydistutils.cfg
cp home/.pydistutils.cfg extra.cfg
cat > ask.py <<'PY'
from setuptools import Distribution
distribution = Distribution()
distribution.parse_config_files()
print("read" if "parallel" in distribution.get_option_dict("build_ext") else "not read")
PY
python3 -m venv venv
ask() { env -u DIST_EXTRA_CONFIG HOME="$PWD/empty" "$@" venv/bin/python -W ignore ask.py; }
seen=$(for version in 49.6.0 59.8.0 65.5.0 84.2.1; do
  venv/bin/pip install --quiet --disable-pip-version-check "setuptools==$version" >/dev/null
  echo "$version: variable $(ask DIST_EXTRA_CONFIG="$PWD/extra.cfg"), home $(ask HOME="$PWD/home")"
done)
echo "$seen"
[ "$seen" = '49.6.0: variable not read, home read
59.8.0: variable not read, home read
65.5.0: variable read, home read
84.2.1: variable read, home read' ]
