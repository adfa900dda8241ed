#!/usr/bin/env bash
# `import-names` of PEP 794 is written by two backends, dropped by a third and refused by a fourth.
#
# Seen with: flit-core 4.2.0, hatchling 1.33.0, poetry-core 2.5.0, setuptools 84.2.1 (build 1.3.0).
# Expected:  a backend that does not know a key of [project] refuses it (the specification asks for that), and one that
#            knows it writes Import-Name.
# Behaviour: flit-core and hatchling write `Import-Name: named`, poetry-core builds a wheel without it and says nothing,
#            setuptools fails with "does not support import-names".
# Matters:   what a wheel lets one import cannot be read from METADATA alone, even where its pyproject.toml says it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check build==1.3.0 flit-core==4.2.0 hatchling==1.33.0 \
  poetry-core==2.5.0 setuptools==84.2.1
says() { # name, build-backend
  mkdir "$1"
  cat > "$1/pyproject.toml" <<TOML
[build-system]
requires = []
build-backend = "$2"
[project]
name = "named"
version = "1.0"
description = "d"
import-names = ["named"]
TOML
  echo 'x = 1' > "$1/named.py"
  if ! venv/bin/python -m build --wheel --no-isolation --outdir "out-$1" "$1" > "$1.log" 2>&1; then
    echo "$1: $(grep -o 'Setuptools does not support `*import-names`*' "$1.log" | head -n 1 | tr -d '`')"
    return
  fi
  echo "$1: $(unzip -p "out-$1"/*.whl '*/METADATA' | grep -i '^Import-Name' || echo nothing)"
}
seen=$(says flit flit_core.buildapi; says hatchling hatchling.build; says poetry poetry.core.masonry.api
  says setuptools setuptools.build_meta)
echo "$seen"
[ "$seen" = 'flit: Import-Name: named
hatchling: Import-Name: named
poetry: nothing
setuptools: Setuptools does not support import-names' ]
