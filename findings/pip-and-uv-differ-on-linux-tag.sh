#!/usr/bin/env bash
# Of one release, pip 26.3 takes the linux_x86_64 wheel where pip 26.2 and uv 0.13 take the manylinux one.
#
# Seen with: pip 26.3, pip 26.2.1, uv 0.13.9, CPython 3.11 on x86_64 with glibc.
# Expected:  one order of tags for all, the specific platform tag before the plain one, as packaging had it for years.
# Behaviour: packaging 26.3 moved `linux_*` to the front of a platform's tags, and pip 26.3 vendors it. Nothing is said of a
#            wheel that lost, and uv keeps the old order.
# Matters:   an index that holds both installs different files for different clients, and `linux_*` promises no libc.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
[ "$(uname -m)" = x86_64 ] || { echo 'this one needs x86_64'; exit 1; }
for version in 26.3 26.2.1; do
  python3 -m venv "pip-$version"
  "pip-$version/bin/python" -m pip install --quiet --disable-pip-version-check "pip==$version"
done
python3 -m venv uv
uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

python3 - <<'PY'
import zipfile
from pathlib import Path
Path("wheels").mkdir()
for platform in ("linux_x86_64", "manylinux_2_17_x86_64"):
    with zipfile.ZipFile(f"wheels/twotags-1.0-py3-none-{platform}.whl", "w") as wheel:
        wheel.writestr("twotags.py", f"platform = {platform!r}\n")
        info = "twotags-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: twotags\nVersion: 1.0\n")
        tags = f"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: false\nTag: py3-none-{platform}\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        names = ["twotags.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in names))
PY
chosen() { python3 -c "import sys; sys.path.insert(0, '$1'); import twotags; print(twotags.platform)"; }
for version in 26.3 26.2.1; do
  "pip-$version/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels \
    --target "by-pip-$version" twotags
done
uv/bin/uv pip install --quiet --no-cache --no-index --find-links wheels --python python3 --target by-uv twotags
seen=$(for by in pip-26.3 pip-26.2.1 uv; do echo "$by $(chosen "by-$by")"; done)
echo "$seen"
[ "$seen" = "pip-26.3 linux_x86_64
pip-26.2.1 manylinux_2_17_x86_64
uv manylinux_2_17_x86_64" ]
