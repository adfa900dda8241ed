#!/usr/bin/env bash
# Whether a .tar.bz2 sdist exists depends on who looks and where: three readers, three answers.
#
# Seen with: pip 26.3, uv 0.13.9.
# Expected:  an installer reads the sdist formats of old releases wherever a file is found, or names the format in an error.
# Behaviour: of a simple page that lists 1.0 as .tar.gz and 2.0 as .tar.bz2, pip takes 2.0. Of a --find-links folder with
#            the same two files, pip takes 1.0: folders are sorted into projects by the names that packaging can parse.
#            uv takes 1.0 from both and exits with 0; asked for ==2.0 it says that the file name is not PEP 625-compliant.
# Matters:   a resolver made of uv and an installer made of pip disagree about what "the newest release" is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9 pip==26.3 setuptools==80.9.0
python3 - <<'PY'
import io, tarfile
from pathlib import Path
Path("simple/oldformat").mkdir(parents=True)
Path("files").mkdir()
for version, mode, suffix in (("1.0", "w:gz", "tar.gz"), ("2.0", "w:bz2", "tar.bz2")):
    top = f"oldformat-{version}"
    members = {
        "setup.py": f"from setuptools import setup\nsetup(name='oldformat', version='{version}', py_modules=[])\n",
        "PKG-INFO": f"Metadata-Version: 1.0\nName: oldformat\nVersion: {version}\n",
    }
    with tarfile.open(f"files/{top}.{suffix}", mode) as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
links = "".join(f"<a href='../../files/{file.name}'>{file.name}</a>" for file in sorted(Path("files").iterdir()))
Path("simple/oldformat/index.html").write_text(f"<!doctype html><html><body>{links}</body></html>")
PY
python3 -u -m http.server --bind 127.0.0.1 0 > server.log 2>&1 &
trap 'kill $!; rm -rf "$folder"' EXIT
until port=$(grep -o 'port [0-9]*' server.log | grep -o '[0-9]*'); do sleep 0.1; done
page="--index-url http://127.0.0.1:$port/simple/"
folder_of_files='--no-index --find-links files'

by_uv() { # shellcheck disable=SC2086 # several words
  echo "${2-oldformat}" | venv/bin/uv pip compile --quiet --no-cache $1 --no-header --no-annotate --no-build-isolation \
    --no-emit-index-url --no-emit-find-links --python venv/bin/python -
}
by_pip() { # shellcheck disable=SC2086 # several words
  venv/bin/pip install --isolated --quiet --disable-pip-version-check $1 --no-build-isolation --dry-run --report report.json oldformat
  python3 -c "import json; print('oldformat==' + json.load(open('report.json'))['install'][0]['metadata']['version'])"
}
if by_uv "$page" oldformat==2.0 > error 2>&1; then exact=found
else exact=$(tr -s ' \n' ' ' < error | grep -o 'has a non-PEP 625-compliant source distribution filename' || cat error); fi
seen="pip, page: $(by_pip "$page")
pip, folder: $(by_pip "$folder_of_files")
uv, page: $(by_uv "$page")
uv, folder: $(by_uv "$folder_of_files")
uv, page, asked for 2.0: $exact"
echo "$seen"
[ "$seen" = 'pip, page: oldformat==2.0
pip, folder: oldformat==1.0
uv, page: oldformat==1.0
uv, folder: oldformat==1.0
uv, page, asked for 2.0: has a non-PEP 625-compliant source distribution filename' ]
