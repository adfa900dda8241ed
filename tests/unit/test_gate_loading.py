"""The gate on how a wheel's libraries find each other once they are installed, and on what musl's loader stops at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from fakes import elves
from fakes.elves import AnElf
from fakes.wheel_archives import DIST_INFO, EXTENSION, GRAFTED, Sample, native_wheel, wheel_file
from mirror.core.gate import check
from mirror.core.gate.elf import read_elf
from mirror.core.gate.installed import place
from mirror.core.gate.loading import Loader, TooManyError, Tree
from mirror.core.gate.machines import MACHINES
from mirror.core.model import Target

MUSL = "libc.musl-x86_64.so.1"
DATA = "demo-1.0.data"
PLAIN = AnElf(needed=(MUSL,))
NEEDY = AnElf(needed=("libq.so.1", MUSL))
ANY = re.compile(rb"unasked")
LOADER = "/lib/ld-musl-x86_64.so.1"


def findings(files: Mapping[str, AnElf | bytes], target: Target | None = None) -> list[str]:
    """What stops a wheel that has these beside its package: `code member`."""
    sample = native_wheel().remove(EXTENSION, GRAFTED).add({name: bytes(content) for name, content in files.items()})
    expected = replace(sample.expected, target=target or sample.expected.target)
    return [f"{found.code} {found.member}" for found in check(sample.filename, sample.content, expected).findings]


FOUND: dict[str, Mapping[str, AnElf | bytes]] = {
    "beside the file": {"demo/a.so": replace(NEEDY, runpath="$ORIGIN"), "demo/libq.so.1": PLAIN},
    "in the second folder": {
        "demo/a.so": replace(NEEDY, runpath="$ORIGIN:$ORIGIN/../demo.libs"),
        "demo.libs/libq.so.1": PLAIN,
    },
    "by an RPATH": {"demo/a.so": replace(NEEDY, rpath="${ORIGIN}/lib/"), "demo/lib/libq.so.1": PLAIN},
    "in a folder behind a line end": {
        "demo/a.so": replace(NEEDY, runpath="$ORIGIN/none\n$ORIGIN/lib"),
        "demo/lib/libq.so.1": PLAIN,
    },
    "in site-packages itself": {"demo/a.so": replace(NEEDY, runpath="$ORIGIN/.."), "libq.so.1": PLAIN},
    "by the path of what loaded it": {
        "demo/a.so": AnElf(needed=("libp.so.1",), runpath="$ORIGIN/lib"),
        "demo/lib/libp.so.1": NEEDY,
        "demo/lib/libq.so.1": PLAIN,
    },
    "by the path of what loaded that": {
        "demo/a.so": AnElf(needed=("libo.so.1",), runpath="$ORIGIN/lib"),
        "demo/lib/libo.so.1": AnElf(needed=("libp.so.1",)),
        "demo/lib/libp.so.1": NEEDY,
        "demo/lib/libq.so.1": PLAIN,
    },
    "since another found it before": {
        "demo/a.so": AnElf(needed=("libo.so.1", "libp.so.1"), runpath="$ORIGIN/lib"),
        "demo/lib/libo.so.1": replace(NEEDY, runpath="$ORIGIN/more"),
        "demo/lib/libp.so.1": NEEDY,
        "demo/lib/more/libq.so.1": PLAIN,
    },
    "each by the other": {
        "demo/libp.so.1": replace(NEEDY, runpath="$ORIGIN"),
        "demo/libq.so.1": AnElf(needed=("libp.so.1",), runpath="$ORIGIN"),
    },
    "from platlib in the root": {
        f"{DATA}/platlib/demo/a.so": replace(NEEDY, runpath="$ORIGIN/../demo.libs"),
        "demo.libs/libq.so.1": PLAIN,
    },
    "from purelib in platlib": {
        f"{DATA}/purelib/demo/a.so": replace(NEEDY, runpath="$ORIGIN/lib"),
        f"{DATA}/platlib/demo/lib/libq.so.1": PLAIN,
    },
    "by a script in site-packages": {
        f"{DATA}/scripts/demo": replace(
            NEEDY, interpreter=LOADER, runpath="$ORIGIN/../lib/python3.11/site-packages/demo.libs"
        ),
        "demo.libs/libq.so.1": PLAIN,
    },
}
"""Where musl finds libq.so.1."""

LOST: dict[str, tuple[list[str], Mapping[str, AnElf | bytes]]] = {
    "elsewhere": (
        ["elf-library-not-found demo/a.so"],
        {"demo/a.so": replace(NEEDY, runpath="$ORIGIN"), "elsewhere/libq.so.1": PLAIN},
    ),
    "without any path": (["elf-library-not-found demo/a.so"], {"demo/a.so": NEEDY, "demo/libq.so.1": PLAIN}),
    "by its soname alone": (
        ["elf-library-not-found demo/a.so"],
        {"demo/a.so": replace(NEEDY, runpath="$ORIGIN"), "demo/libq.so.1.2.3": replace(PLAIN, soname="libq.so.1")},
    ),
    "by the RPATH, which a RUNPATH takes the place of": (
        ["elf-library-not-found demo/a.so"],
        {"demo/a.so": replace(NEEDY, rpath="$ORIGIN", runpath="$ORIGIN/lib"), "demo/libq.so.1": PLAIN},
    ),
    "by the path of a library that does not load it": (
        ["elf-library-not-found demo/b.so"],
        {
            "demo/a.so": replace(NEEDY, runpath="$ORIGIN/lib"),
            "demo/b.so": NEEDY,
            "demo/lib/libq.so.1": PLAIN,
        },
    ),
    "by the path of a library that comes too late": (
        ["elf-library-not-found demo/lib/libo.so.1"],
        {
            "demo/a.so": AnElf(needed=("libo.so.1", "libp.so.1"), runpath="$ORIGIN/lib"),
            "demo/lib/libo.so.1": NEEDY,
            "demo/lib/libp.so.1": replace(NEEDY, runpath="$ORIGIN/more"),
            "demo/lib/more/libq.so.1": PLAIN,
        },
    ),
    "through a folder that is not there": (
        ["elf-library-not-found demo/a.so"],
        {"demo/a.so": replace(NEEDY, runpath="$ORIGIN/none/../lib"), "demo/lib/libq.so.1": PLAIN},
    ),
    "behind a file of that name": (
        ["elf-library-not-found demo/a.so"],
        {
            "demo/a.so": replace(NEEDY, runpath="$ORIGIN:$ORIGIN/lib"),
            "demo/libq.so.1": b"INPUT(libq.so.1.2)\n",
            "demo/lib/libq.so.1": PLAIN,
        },
    ),
    "behind a folder of that name": (
        ["elf-library-not-found demo/a.so"],
        {
            "demo/a.so": replace(NEEDY, runpath="$ORIGIN:$ORIGIN/lib"),
            "demo/libq.so.1/__init__.py": b"",
            "demo/lib/libq.so.1": PLAIN,
        },
    ),
    "as an object file": (
        ["elf-external-library demo/a.so"],
        {"demo/a.so": replace(NEEDY, runpath="$ORIGIN"), "demo/libq.so.1": replace(PLAIN, kind=1)},
    ),
    "where the archive has it, but not the installation": (
        ["elf-library-not-found demo/a.so"],
        {
            "demo/a.so": replace(NEEDY, runpath="$ORIGIN/../demo.libs"),
            f"{DATA}/data/demo.libs/libq.so.1": PLAIN,
        },
    ),
    "by an extension module that another library loads": (
        ["elf-library-not-found demo/a.abi3.so"],
        {
            "demo/a.abi3.so": NEEDY,
            "demo/b.so": AnElf(needed=("a.abi3.so",), runpath="$ORIGIN:$ORIGIN/lib"),
            "demo/lib/libq.so.1": PLAIN,
        },
    ),
    "each by the other, who have no path": (
        ["elf-library-not-found demo/libp.so.1"],
        {"demo/libp.so.1": NEEDY, "demo/libq.so.1": AnElf(needed=("libp.so.1",), runpath="$ORIGIN")},
    ),
    "under a name of musl's own": (
        ["elf-external-library demo/a.so"],
        {"demo/a.so": AnElf(needed=("libutil.so",), runpath="$ORIGIN"), "demo/libutil.so": PLAIN},
    ),
}
"""Where musl does not find it, and whom that stops."""


@pytest.mark.parametrize("case", FOUND)
def test_a_library_is_found_where_musl_finds_it(case: str) -> None:
    """By its file's name, in the paths of the file that needs it and of what had that loaded."""
    assert [] == [found for found in findings(FOUND[case]) if not found.startswith("data-scheme")]


@pytest.mark.parametrize("case", LOST)
def test_a_library_is_lost_where_musl_does_not_find_it(case: str) -> None:
    """Whatever else would find it: another loader, a reader of sonames, who looks into the archive."""
    stopped, files = LOST[case]
    assert stopped == [found for found in findings(files) if not found.startswith("data-scheme")]


def test_a_wheel_that_has_the_library_elsewhere_says_where() -> None:
    """The finding names the place, for whoever has to mend it."""
    sample = native_wheel().add({EXTENSION: bytes(AnElf(needed=("libfast-0a1b2c3d.so.1",)))})
    message = f"needs libfast-0a1b2c3d.so.1: the wheel has it at {GRAFTED}, where musl does not find it by this name"
    assert [message] == [found.message for found in check(sample.filename, sample.content, sample.expected).findings]


def test_libraries_are_followed_so_far_and_no_further() -> None:
    """A stranger's web of libraries, each of which needs all others, costs so many lookups at most."""
    names = [f"lib{number}.so" for number in range(20)]
    read = {f"demo/{name}": read_elf(bytes(AnElf(needed=tuple(names), runpath="$ORIGIN")), ANY) for name in names}
    placed, _ = place(read, DIST_INFO)
    tree = Tree(placed, "3.11")
    assert 1 == len(tuple(Loader(tree=tree, elves=read, system=frozenset(), most_lookups=40).loads()))
    with pytest.raises(TooManyError):
        tuple(Loader(tree=tree, elves=read, system=frozenset(), most_lookups=39).loads())


@pytest.mark.parametrize(
    ("codes", "member", "path"),
    [
        ([], f"{DATA}/platlib/demo/a.so", "$ORIGIN/.."),
        (["elf-rpath-escape"], f"{DATA}/platlib/demo/a.so", "$ORIGIN/../.."),
        (["elf-rpath-escape"], f"{DATA}/purelib/a.so", "$ORIGIN/.."),
        (["elf-rpath-escape"], "demo/a.so", "$ORIGIN/../../site-packages/demo"),
        (["elf-rpath"], "demo/a.so", "$ORIGIN/../..$ORIGIN"),
        (["elf-rpath"], "demo/a.so", "$ORIGIN/x\n/tmp/outside"),
        (["elf-rpath-escape"], "demo/a.so", "$ORIGIN/x\n$ORIGIN/../.."),
        (["elf-rpath-escape"], f"{DATA}/scripts/demo", "$ORIGIN/../lib"),
        (["elf-rpath-escape"], f"{DATA}/scripts/demo", "$ORIGIN/../.."),
        ([], f"{DATA}/scripts/demo", "$ORIGIN"),
        ([], f"{DATA}/scripts/demo", "$ORIGIN/../lib/python3.11/site-packages/demo"),
    ],
)
def test_a_path_stays_where_the_wheel_is_installed(codes: list[str], member: str, path: str) -> None:
    """What counts is where the file is installed, which for `.data` is elsewhere than in the archive."""
    assert [f"{code} {member}" for code in codes] == findings({member: replace(PLAIN, runpath=path)})


def on(architecture: str, **fields: object) -> list[str]:
    """What stops a wheel for an architecture whose extension module is so."""
    machine = MACHINES[architecture]
    elf = AnElf(
        machine=machine.number,
        bits=machine.bits,
        order="<" if machine.little_endian else ">",
        with_addends=architecture not in {"i686", "armv7l"},
        needed=(),
    )
    filename = f"demo-1.0-cp311-cp311-musllinux_1_2_{architecture}.whl"
    files = {EXTENSION: bytes(replace(elf, **fields)), GRAFTED: bytes(elf)}  # type: ignore[arg-type]
    sample: Sample = native_wheel().add({**files, f"{DIST_INFO}/WHEEL": wheel_file(filename, purelib="false")})
    expected = replace(sample.expected, target=Target(python="3.11", architecture=architecture))
    return [found.code for found in check(filename, sample.content, expected).findings]


@pytest.mark.parametrize("architecture", MACHINES)
def test_what_musl_relocates_is_known_by_architecture(architecture: str) -> None:
    """Its own relocations are well, fixed offsets of foreign variables too; IRELATIVE and unknown ones are not."""
    machine = MACHINES[architecture]
    usual = tuple((kind, "") for kind in sorted(machine.relocations - machine.fixed_tls))
    assert [] == on(architecture, relocations=usual)
    for kind in machine.fixed_tls:
        assert [] == on(architecture, relocations=((kind, "far"),), undefined=("far",))
        assert ["elf-static-tls"] == on(architecture, relocations=(*usual, (kind, "")))
        assert ["elf-static-tls"] == on(architecture, relocations=((kind, "own"),), defined=("own",), tls=("own",))
    assert ["elf-ifunc"] == on(architecture, relocations=(*usual, (machine.ifunc, "")))
    assert ["elf-relocation"] == on(architecture, relocations=(*usual, (251, "")))
    assert ["elf-ifunc"] == on(architecture, defined=("chosen",), ifuncs=("chosen",))


STATIC = replace(PLAIN, defined=("errors",), tls=("errors",), relocations=((18, "errors"),))


def test_static_tls_is_well_where_a_process_starts_with_it() -> None:
    """A program's own libraries are there from the start; what Python loads comes later."""
    files: dict[str, AnElf | bytes] = {
        f"{DATA}/scripts/demo": replace(
            NEEDY, interpreter=LOADER, runpath="$ORIGIN/../lib/python3.11/site-packages/demo.libs"
        ),
        "demo.libs/libq.so.1": STATIC,
    }
    assert [] == findings(files)
    files["demo/a.so"] = replace(NEEDY, runpath="$ORIGIN/../demo.libs")
    assert ["elf-static-tls demo.libs/libq.so.1"] == findings(files)


def test_static_tls_of_another_library_of_the_wheel_is_not() -> None:
    """A variable at a fixed offset may be the interpreter's; one that comes with the wheel has none."""
    user = replace(NEEDY, undefined=("errors",), relocations=((18, "errors"),), runpath="$ORIGIN")
    assert [] == findings({"demo/a.so": user, "demo/libq.so.1": PLAIN})
    owner = replace(PLAIN, defined=("errors",), tls=("errors",))
    assert ["elf-static-tls demo/a.so"] == findings({"demo/a.so": user, "demo/libq.so.1": owner})


def test_a_static_program_relocates_itself() -> None:
    """It has no loader that could stop at its IRELATIVE relocations; a library that says it is one has."""
    pie = AnElf(needed=(), relocations=((37, ""),), dynamic=((elves.FLAGS_1, 0x08000000),))
    assert [] == findings({f"{DATA}/scripts/demo": pie})
    assert [f"elf-ifunc {DATA}/scripts/demo"] == findings({f"{DATA}/scripts/demo": replace(pie, dynamic=())})
    assert ["elf-ifunc demo/a.so"] == findings({"demo/a.so": replace(pie, needed=(MUSL,))})


@pytest.mark.parametrize(
    ("alpine", "symbol", "is_there"),
    [
        (None, "statx", False),
        ((3, 19), "statx", False),
        ((3, 20), "statx", True),
        ((3, 19), "preadv2", False),
        ((3, 22), "preadv2", True),
        ((3, 17), "pwritev2", False),
        ((3, 20), "pwritev2", True),
        (None, "renameat2", False),
        ((3, 24), "renameat2", False),
        (None, "fts_open", False),
        ((3, 24), "fts_open", False),
        (None, "preadv", True),
        (None, "qsort_r", True),
        ((3, 15), "qsort_r", False),
        ((3, 15), "pthread_getname_np", False),
        ((3, 16), "pthread_getname_np", True),
    ],
)
def test_what_musl_has_depends_on_the_targets_alpine(
    alpine: tuple[int, int] | None, symbol: str, is_there: bool
) -> None:
    """A symbol that came later is missing before; where the base image is no Alpine, 3.16 counts."""
    target = Target(python="3.11", alpine=alpine)
    stopped = [] if is_there else ["elf-not-on-alpine demo/a.so"]
    assert stopped == findings({"demo/a.so": replace(PLAIN, undefined=(symbol,))}, target)
    assert [] == findings({"demo/a.so": replace(PLAIN, undefined=(symbol,), weak=(symbol,))}, target)


def test_a_symbol_must_come_with_what_is_loaded_with_it() -> None:
    """A library elsewhere in the wheel brings nothing to what does not load it."""
    user = replace(NEEDY, undefined=("statx",), runpath="$ORIGIN")
    brings = replace(PLAIN, defined=("statx",))
    assert [] == findings({"demo/a.so": user, "demo/libq.so.1": brings})
    assert ["elf-not-on-alpine demo/a.so"] == findings(
        {"demo/a.so": user, "demo/libq.so.1": PLAIN, "demo/other.so": brings}
    )


@pytest.mark.parametrize(("alpine", "is_read"), [(None, False), ((3, 17), False), ((3, 18), True)])
def test_packed_relocations_need_a_musl_that_reads_them(alpine: tuple[int, int] | None, is_read: bool) -> None:
    """An older one loads the file without them."""
    packed = replace(PLAIN, dynamic=((elves.RELR, elves.BASE),))
    stopped = [] if is_read else ["elf-not-on-alpine demo/a.so"]
    assert stopped == findings({"demo/a.so": packed}, Target(python="3.11", alpine=alpine))
