#!/usr/bin/env bash
# Four build backends, one SOURCE_DATE_EPOCH, three readings of it.
#
# Seen with: flit-core 4.2.0, hatchling 1.33.0, poetry-core 2.5.0, setuptools 84.2.1 (build 1.3.0).
# Expected:  without the variable a backend either always or never copies the files' times; `0` is the earliest time that a
#            ZIP archive can name, 1980-01-01.
# Behaviour: without it flit-core copies the files' own times, so two checkouts give two wheels; hatchling writes 2020-02-02
#            and poetry-core 2016-01-01 for each file, whenever it is built. With `0` hatchling, flit-core and setuptools
#            write 1980 and poetry-core 2016: it takes `0` for "not set".
# Matters:   who compares wheels bit by bit has to set the variable, and not to 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check build==1.3.0 flit-core==4.2.0 hatchling==1.33.0 \
  poetry-core==2.5.0 setuptools==84.2.1
backend() { # name, build-backend
  mkdir "$1"
  printf '[build-system]\nrequires = []\nbuild-backend = "%s"\n[project]\nname = "dated"\nversion = "1.0"\ndescription = "d"\n' \
    "$2" > "$1/pyproject.toml"
  echo 'x = 1' > "$1/dated.py"
  touch -d '2001-02-03 04:05:06 UTC' "$1"/*
}
backend flit flit_core.buildapi
backend hatchling hatchling.build
backend poetry poetry.core.masonry.api
backend setuptools setuptools.build_meta
year() { # of dated.py in the wheel that a backend makes; the further words are variables
  name=$1; shift
  rm -rf out
  env -u SOURCE_DATE_EPOCH TZ=UTC "$@" venv/bin/python -m build --wheel --no-isolation --outdir out "$name" >/dev/null 2>&1
  python3 -c "import glob, zipfile; print(zipfile.ZipFile(glob.glob('out/*.whl')[0]).getinfo('dated.py').date_time[0])"
}
seen=$(for name in flit hatchling poetry setuptools; do echo "$name $(year $name) $(year $name SOURCE_DATE_EPOCH=0)"; done)
echo "$seen"
[ "$seen" = 'flit 2001 1980
hatchling 2020 1980
poetry 2016 2016
setuptools 2001 1980' ]
