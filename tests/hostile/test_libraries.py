"""The gate against musl's own loader: what it refuses does not load (or loads a stranger's), what it passes loads."""

from __future__ import annotations

import base64
import io
import json
import platform
import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

import docker
import pytest

from fakes import elves
from fakes.elves import AnElf
from mirror.adapters.images.engine import output_of
from mirror.core.gate.alpine import WATCHED_SYMBOLS
from mirror.core.gate.elf import ElfError, read_elf
from mirror.core.gate.installed import place
from mirror.core.gate.libraries import judge_libraries
from mirror.core.gate.machines import MACHINES
from mirror.core.model import Target

pytestmark = pytest.mark.docker

TARGET = Target(python="3.11", architecture=platform.machine())
OUTSIDE = "/tmp/outside"

SOURCES = """
mkdir -p site/demo site/demo.libs outside
cat > q.c <<'END'
int q(void) { return 7; }
END
cat > a.c <<'END'
int q(void);
int a(void) { return q() + 1; }
END
cat > plain.c <<'END'
int a(void) { return 8; }
END
cat > initial.c <<'END'
__thread int count __attribute__((tls_model("initial-exec"))) = 7;
int a(void) { return count + 1; }
END
cat > general.c <<'END'
static __thread int count = 7;
int a(void) { return count + 1; }
END
cat > chosen.c <<'END'
static int eight(void) { return 8; }
static int (*choose(void))(void) { return eight; }
int a(void) __attribute__((ifunc("choose")));
END
cat > hidden.c <<'END'
static int eight(void) { return 8; }
static int (*choose(void))(void) { return eight; }
static int chosen(void) __attribute__((ifunc("choose")));
int a(void) { return chosen(); }
END
cat > exchange.c <<'END'
int renameat2(int, const char *, int, const char *, unsigned);
int a(void) { return renameat2(-1, "", -1, "", 0) + 9; }
END
cat > weak.c <<'END'
int renameat2(int, const char *, int, const char *, unsigned) __attribute__((weak));
int a(void) { return renameat2 ? 8 : 8; }
END
shared() { gcc -O1 -fPIC -shared "$@"; }
"""
"""The sources of all cases, in the folder of which `site` is what is installed; `a()` is 8 wherever it loads."""


@dataclass(frozen=True)
class Case:
    """`script` makes `site/demo/a.so`; `codes` are the gate's, and `loads` what `a()` is, or the loader's words."""

    script: str
    codes: tuple[str, ...] = ()
    loads: object = 8


CASES: dict[str, Case] = {
    "nothing but libc": Case("shared plain.c -o site/demo/a.so"),
    "a grafted library": Case(
        "shared q.c -o site/demo.libs/libq.so\n"
        "shared a.c -o site/demo/a.so -Lsite/demo.libs -lq -Wl,-rpath,'$ORIGIN/../demo.libs'"
    ),
    "a library that finds its own by the path of what loaded it": Case(
        "shared q.c -o site/demo.libs/libq.so\n"
        "shared a.c -o site/demo.libs/libp.so -Lsite/demo.libs -lq\n"
        "shared -Wl,--no-as-needed plain.c -o site/demo/a.so -Lsite/demo.libs -lp -Wl,-rpath,'$ORIGIN/../demo.libs'"
    ),
    "a library that is elsewhere": Case(
        "mkdir site/elsewhere\nshared q.c -o site/elsewhere/libq.so\n"
        "shared a.c -o site/demo/a.so -Lsite/elsewhere -lq -Wl,-rpath,'$ORIGIN/../demo.libs'",
        ("elf-library-not-found",),
        "libq.so: No such file or directory",
    ),
    "a library that has the soname, and another file name": Case(
        "shared q.c -o site/demo.libs/libq.so.1.2.3 -Wl,-soname,libq.so.1\n"
        "shared a.c -o site/demo/a.so site/demo.libs/libq.so.1.2.3 -Wl,-rpath,'$ORIGIN/../demo.libs'",
        ("elf-library-not-found",),
        "libq.so.1: No such file or directory",
    ),
    "a library behind a folder that is not there": Case(
        "shared q.c -o site/demo.libs/libq.so\n"
        "shared a.c -o site/demo/a.so -Lsite/demo.libs -lq -Wl,-rpath,'$ORIGIN/none/../../demo.libs'",
        ("elf-library-not-found",),
        "libq.so: No such file or directory",
    ),
    "a library outside, behind a line end of the path": Case(
        f"mkdir -p {OUTSIDE}\nshared q.c -o {OUTSIDE}/libq.so\n"
        f"shared a.c -o site/demo/a.so -L{OUTSIDE} -lq -Wl,-rpath,'$ORIGIN/x\n{OUTSIDE}'",
        ("elf-external-library", "elf-rpath"),
    ),
    "variables of threads": Case("shared general.c -o site/demo/a.so"),
    "variables of threads at fixed offsets": Case(
        "shared initial.c -o site/demo/a.so", ("elf-static-tls",), "initial-exec TLS resolves to dynamic definition"
    ),
    "a function that is chosen when it is loaded": Case(
        "shared hidden.c -o site/demo/a.so", ("elf-ifunc",), "unsupported relocation type"
    ),
    "such a function that others may call": Case(
        "shared chosen.c -o site/demo/a.so", ("elf-ifunc",), "Symbol not found: a"
    ),
    "a symbol that some musl lacks, and can do without": Case("shared weak.c -o site/demo/a.so"),
}

PROGRAM = """
import base64, io, json, subprocess, sys, tarfile
subprocess.run(["sh", "-ec", sys.argv[1]], check=True, cwd="/tmp", stdout=sys.stderr)
load = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).a())"
ran = subprocess.run([sys.executable, "-c", load, "/tmp/site/demo/a.so"], capture_output=True, text=True)
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    tar.add("/tmp/site", "")
said = [int(ran.stdout)] if ran.returncode == 0 else ran.stderr.splitlines()[-1:]
print(json.dumps([said[0], base64.b64encode(archive.getvalue()).decode()]))
"""


@pytest.mark.parametrize("name", CASES)
def test_the_gate_passes_what_musl_loads(engine: docker.DockerClient, builder_image: str, name: str) -> None:
    """Compiled, installed and loaded with the builder's own tools; the gate says of the same files what musl does."""
    case = CASES[name]
    output = output_of(engine, builder_image, ["python3", "-c", PROGRAM, f"{SOURCES}{case.script}"])
    said, archive = json.loads(output)
    assert case.loads == said if isinstance(case.loads, int) else str(case.loads) in said
    assert list(case.codes) == judge(unpacked(base64.b64decode(archive)))


def test_the_gate_reads_the_libraries_that_musl_maps(engine: docker.DockerClient, base_image: str) -> None:
    """A segment that begins within a page hides one library behind another from whoever takes addresses for places."""
    machine = MACHINES[TARGET.architecture]
    form = AnElf(machine=machine.number)
    mapped = AnElf(machine=form.machine, needed=("libhidden.so.1",))
    shown = AnElf(machine=form.machine, needed=(f"libc.musl-{machine.alpine[0]}.so.1"[:14],))
    two = elves.two_faced(mapped, shown)
    assert "Error loading shared library libhidden.so.1" in listed(engine, base_image, bytes(mapped))
    assert "libhidden.so.1" in listed(engine, base_image, two)
    assert shown.needed == needed_by_place(two)
    with pytest.raises(ElfError, match="begins elsewhere in its page"):
        read_elf(two, WATCHED_SYMBOLS)
    assert ["elf-external-library"] == judge({"demo/a.so": bytes(mapped)})


def judge(files: Mapping[str, bytes]) -> list[str]:
    """The codes of the gate's findings on installed ELF files."""
    read = {name: read_elf(content, WATCHED_SYMBOLS) for name, content in files.items()}
    placed, _ = place(read, "demo-1.0.dist-info")
    return sorted({finding.code for finding in judge_libraries(read, placed, TARGET)})


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The files of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [member for member in tar if member.isfile()]
        return {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def listed(engine: docker.DockerClient, image: str, content: bytes) -> str:
    """What musl's loader says of a file's libraries."""
    program = (
        "import base64, glob, subprocess, sys; open('/tmp/a', 'wb').write(base64.b64decode(sys.argv[1]));"
        "loader = glob.glob('/lib/ld-musl-*.so.1')[0];"
        "print(subprocess.run([loader, '--list', '/tmp/a'], capture_output=True).stderr.decode())"
    )
    return output_of(engine, image, ["python3", "-c", program, base64.b64encode(content).decode()]).decode()


def needed_by_place(content: bytes) -> tuple[str, ...]:
    """What a reader without the wall takes for the needed libraries: it looks addresses up byte by byte."""
    offset, address = struct.unpack_from("<2Q", content, 64 + 8)
    place_, _ = struct.unpack_from("<2Q", content, 64 + 56 + 8)
    entries = list(struct.iter_unpack("<2Q", content[place_ : place_ + 16 * 64]))
    ended = entries[: entries.index((0, 0))]
    strings = dict(ended)[elves.STRTAB] - address + offset
    starts = [strings + value for tag, value in ended if tag == elves.NEEDED]
    return tuple(content[start : content.index(b"\0", start)].decode() for start in starts)
