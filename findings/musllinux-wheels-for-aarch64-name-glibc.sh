#!/usr/bin/env bash
# A right musllinux wheel for aarch64 has a symbol version called GLIBC_2.0: libgcc_s defines it itself.
#
# Seen with: numpy 2.3.5 (musllinux_1_2, aarch64 and x86_64), pyelftools 0.32.
# Expected:  a file that needs a version GLIBC_x was linked against glibc, as auditwheel and everybody who greps assume.
# Behaviour: GCC's libgcc_s for aarch64 keeps old unwinder symbols under GLIBC_2.0, on musl too. The libstdc++ that is
#            grafted beside it needs that version of it, and so does any extension module that is linked with libgcc_s.
#            The wheel for x86_64 has no such name.
# Matters:   a check that refuses whatever names GLIBC_ refuses every aarch64 wheel with C++ in it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyelftools==0.32
cat > names.py <<'PY'
import io, sys, zipfile
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
found = set()
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        content = wheel.read(name)
        if content[:4] != b"\x7fELF":
            continue
        for section in ELFFile(io.BytesIO(content)).iter_sections():
            if isinstance(section, (GNUVerDefSection, GNUVerNeedSection)):
                how = "defines" if isinstance(section, GNUVerDefSection) else "needs"
                for _, versions in section.iter_versions():
                    found |= {f"{name.rpartition('/')[2].partition('-')[0]} {how} {version.name}"
                              for version in versions if version.name.startswith("GLIBC")}
print("; ".join(sorted(found)) or "none")
PY
seen=$(for machine in aarch64 x86_64; do
  venv/bin/pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.11 \
    --platform "musllinux_1_2_$machine" --dest "$machine" numpy==2.3.5
  echo "$machine: $(venv/bin/python names.py "$machine"/*.whl)"
done)
echo "$seen"
[ "$seen" = 'aarch64: _multiarray_tests.cpython needs GLIBC_2.0; _multiarray_umath.cpython needs GLIBC_2.0; '\
'_pocketfft_umath.cpython needs GLIBC_2.0; _simd.cpython needs GLIBC_2.0; _umath_linalg.cpython needs GLIBC_2.0; '\
'libgcc_s defines GLIBC_2.0; libgfortran needs GLIBC_2.0; libstdc++ needs GLIBC_2.0
x86_64: none' ]
