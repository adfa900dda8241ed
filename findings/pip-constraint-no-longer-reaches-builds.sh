#!/usr/bin/env bash
# PIP_CONSTRAINT reached isolated build environments for years. Since pip 26.2 it does not, and nothing is said.
#
# Seen with: pip 26.1 and pip 26.3, setuptools 79.0.1 and newer.
# Expected:  after releases that warned, an error or a warning where the variable is set and a build is isolated.
# Behaviour: with PIP_CONSTRAINT=setuptools==79.0.1 an sdist is built by setuptools 79.0.1 under pip 26.1 (which warns),
#            and by the newest one under 26.3, without a word. `--build-constraint` works in both.
# Matters:   "setuptools<80 as a constraint" in an image's environment kept old sdists alive; an upgrade of pip undoes it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir project
printf '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n' > project/pyproject.toml
cat > project/setup.py <<'PY'
import setuptools
setuptools.setup(name="constrained", version="1.0", description=setuptools.__version__, py_modules=[])
PY
echo 'setuptools==79.0.1' > constraints.txt
built() { # pip's version, a variable, an option of pip
  variable=$2; option=${3-}
  rm -rf out
  # shellcheck disable=SC2086 # none or one word
  env -u PIP_BUILD_CONSTRAINT "$variable" "pip-$1/bin/python" -m pip wheel --quiet --no-deps --disable-pip-version-check \
    $option --wheel-dir out ./project 2> "warned-$1"
  used=$(unzip -p out/*.whl '*/METADATA' | sed -n 's/^Summary: //p')
  [ "$used" = 79.0.1 ] && echo 'as constrained' || echo 'another one'
}
for version in 26.1 26.3; do
  python3 -m venv "pip-$version"
  "pip-$version/bin/python" -m pip install --quiet --disable-pip-version-check "pip==$version"
done
seen="$(for version in 26.1 26.3; do
  echo "$version: variable $(built $version PIP_CONSTRAINT="$PWD/constraints.txt"), lines of warning $(
    grep -ci 'constraint' "warned-$version" || true), option $(built $version A=b --build-constraint=constraints.txt)"
done)"
echo "$seen"
echo "$seen" | sed 's/warning [1-9][0-9]*/warning some/' | diff - <(echo '26.1: variable as constrained, lines of warning some, option as constrained
26.3: variable another one, lines of warning 0, option as constrained')
