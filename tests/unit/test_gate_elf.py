"""The gate on compiled code: what musl's loader could not load, or would load from somewhere else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from fakes import elves
from fakes.elves import AnElf
from fakes.wheel_archives import DIST_INFO, EXTENSION, GRAFTED, Sample, native_wheel, wheel_file
from mirror.core.gate import check
from mirror.core.gate.alpine import WATCHED_SYMBOLS
from mirror.core.gate.elf import ElfError, read_elf
from mirror.core.model import Target

MUSL = "libc.musl-x86_64.so.1"
Attack = Callable[[AnElf], AnElf | bytes]


def with_(**fields: object) -> Attack:
    """Attack by other contents of the extension module."""
    return lambda elf: replace(elf, **fields)  # type: ignore[arg-type]


def needs(*libraries: str) -> Attack:
    """Attack by more libraries that it needs."""
    return lambda elf: replace(elf, needed=(*elf.needed, *libraries))


def alone(**fields: object) -> Attack:
    """Attack by other contents of an extension module that needs nothing but libc."""
    return with_(needed=(MUSL,), **fields)


def patched(place: int, layout: str, *values: int) -> Attack:
    """Attack by numbers written over its bytes."""

    def patch(elf: AnElf) -> bytes:
        content = bytearray(bytes(elf))
        struct.pack_into(f"<{layout}", content, place, *values)
        return bytes(content)

    return patch


def cut(size: int) -> Attack:
    """Attack by the first bytes alone."""
    return lambda elf: bytes(elf)[:size]


def two_faced(elf: AnElf) -> bytes:
    """Attack by other needed libraries in memory than at the same place of the file."""
    return elves.two_faced(
        replace(elf, needed=(MUSL, "libother-0a1b2c3.so.1")), replace(elf, needed=(MUSL, elf.needed[0]))
    )


LOADING: dict[str, tuple[str, Attack]] = {
    "another machine": ("elf-machine", with_(machine=elves.AARCH64)),
    "a machine of nobody": ("elf-machine", with_(machine=4711)),
    "32 bits of the old machine": ("elf-machine", with_(machine=elves.I386, bits=32)),
    "32 bits of the right machine": ("elf-machine", with_(bits=32)),
    "the other byte order": ("elf-machine", with_(order=">")),
    "an object file of another machine": ("elf-machine", with_(kind=1, machine=elves.AARCH64)),
    "glibc's loader": ("elf-interpreter", with_(interpreter="/lib64/ld-linux-x86-64.so.2")),
    "another musl's loader": ("elf-interpreter", with_(interpreter="/lib/ld-musl-aarch64.so.1")),
    "musl's loader elsewhere": ("elf-interpreter", with_(interpreter="/tmp/ld-musl-x86_64.so.1")),
    "a loader in the working folder": ("elf-interpreter", with_(interpreter="ld-musl-x86_64.so.1")),
    "glibc": ("elf-glibc", needs("libc.so.6")),
    "glibc's threads": ("elf-glibc", needs("libpthread.so.0")),
    "glibc's mathematics": ("elf-glibc", needs("libm.so.6")),
    "glibc's dl": ("elf-glibc", needs("libdl.so.2")),
    "glibc's loader as a library": ("elf-glibc", needs("ld-linux-x86-64.so.2")),
    "symbols of glibc": ("elf-glibc-symbols", with_(versions={MUSL: ("GLIBC_2.17",)})),
    "symbols of glibc among others": (
        "elf-glibc-symbols",
        with_(versions={"libfast-0a1b2c3d.so.1": ("FAST_1", "FAST_2"), MUSL: ("X_1", "GLIBC_2.34")}),
    ),
    "private symbols of glibc": ("elf-glibc-symbols", with_(versions={MUSL: ("GLIBC_PRIVATE",)})),
    "a system library": ("elf-external-library", needs("libffi.so.8")),
    "the C++ library": ("elf-external-library", needs("libstdc++.so.6")),
    "a library by its name before grafting": ("elf-external-library", needs("libfast.so.1")),
    "another machine's musl": ("elf-external-library", needs("libc.musl-aarch64.so.1")),
    "libpython": ("elf-libpython", needs("libpython3.11.so.1.0")),
    "a library by its path": ("elf-needed-path", needs("/usr/lib/libevil.so")),
    "a library by a relative path": ("elf-needed-path", needs("../evil/libevil.so")),
    "an absolute RPATH": ("elf-rpath", alone(rpath="/usr/local/lib")),
    "an absolute RUNPATH": ("elf-rpath", alone(runpath="/tmp/build/lib")),
    "an absolute path among others": ("elf-rpath", alone(runpath="$ORIGIN/../demo.libs:/opt/lib")),
    "a relative path": ("elf-rpath", alone(runpath="lib")),
    "an empty path": ("elf-rpath", alone(runpath="")),
    "an empty path among others": ("elf-rpath", alone(runpath="$ORIGIN:")),
    "a path of the platform": ("elf-rpath", alone(runpath="$ORIGIN/$LIB:$PLATFORM/x")),
    "a path that only begins like $ORIGIN": ("elf-rpath", alone(runpath="$ORIGINAL/lib")),
    "a path out of the wheel": ("elf-rpath-escape", alone(runpath="$ORIGIN/../../../lib")),
    "a path out of the wheel and back": ("elf-rpath-escape", alone(runpath="${ORIGIN}/x/../../../../site-packages")),
    "text relocations by their tag": ("elf-textrel", with_(dynamic=((elves.TEXTREL, 0),))),
    "text relocations by the flag": ("elf-textrel", with_(dynamic=((elves.FLAGS, 4),))),
    "an executable stack": ("elf-execstack", with_(stack_flags=7)),
    "a symbol that Alpine lacks": ("elf-not-on-alpine", with_(undefined=("puts", "fts_open"))),
    "a symbol that Alpine lacks, by the old hash table": (
        "elf-not-on-alpine",
        with_(undefined=("fts_read",), hash_style="sysv"),
    ),
    "a symbol that Alpine lacks, without hash table": (
        "elf-not-on-alpine",
        with_(undefined=("fts_close",), hash_style="none"),
    ),
    "a symbol that Alpine lacks, before others that are defined": (
        "elf-not-on-alpine",
        with_(undefined=("fts_children",), defined=("PyInit__speed",)),
    ),
}

MALFORMED: dict[str, tuple[str, Attack]] = {
    "the magic alone": ("elf-malformed", cut(4)),
    "half a header": ("elf-malformed", cut(40)),
    "a header without its segments": ("elf-malformed", cut(64)),
    "everything but the end": ("elf-malformed", cut(400)),
    "a class of nobody": ("elf-malformed", patched(4, "B", 3)),
    "a byte order of nobody": ("elf-malformed", patched(5, "B", 0)),
    "segments outside the file": ("elf-malformed", patched(32, "Q", 1 << 40)),
    "segments at the end of numbers": ("elf-malformed", patched(32, "Q", (1 << 64) - 1)),
    "segments of another size": ("elf-malformed", patched(54, "H", 32)),
    "segments without end": ("elf-malformed", patched(56, "H", 0xFFFF)),
    "a loaded segment outside the file": ("elf-malformed", patched(64 + 8, "Q", 1 << 40)),
    "a loaded segment longer than the file": ("elf-malformed", patched(64 + 32, "2Q", 1 << 40, 1 << 40)),
    "a loaded segment longer than its memory": ("elf-malformed", patched(64 + 40, "Q", 1)),
    "loaded segments over each other": (
        "elf-malformed",
        with_(segments=((elves.LOAD, 4, 0, elves.BASE + 8, 64, 64),)),
    ),
    "a loaded segment that begins elsewhere in its page": ("elf-malformed", two_faced),
    "loaded segments in one page": (
        "elf-malformed",
        with_(segments=((elves.LOAD, 4, 0xE00, elves.BASE + 0xE00, 64, 64),)),
    ),
    "a loaded segment without bytes in the page of another": (
        "elf-malformed",
        with_(segments=((elves.LOAD, 4, 0xE00, elves.BASE + 0xE00, 0, 0),)),
    ),
    "a loaded segment at the end of numbers": (
        "elf-malformed",
        with_(segments=((elves.LOAD, 4, 0, (1 << 64) - 4096, 64, 4096),)),
    ),
    "a dynamic section of no length": ("elf-malformed", patched(64 + 56 + 32, "2Q", 0, 0)),
    "two dynamic sections": (
        "elf-malformed",
        with_(segments=((elves.DYNAMIC, 4, 64, elves.BASE + 64, 64, 64),)),
    ),
    "two interpreters": (
        "elf-malformed",
        with_(
            interpreter="/lib/ld-musl-x86_64.so.1",
            segments=((elves.INTERP, 4, 64, elves.BASE + 64, 9, 9),),
        ),
    ),
    "an interpreter that does not end": (
        "elf-malformed",
        with_(segments=((elves.INTERP, 4, 0, elves.BASE, 4, 4),)),
    ),
    "a dynamic section mapped from elsewhere": ("elf-malformed", with_(dynamic_shift=-16)),
    "a dynamic section that is not loaded": ("elf-malformed", with_(dynamic_shift=1 << 30)),
    "a string table that is not loaded": ("elf-malformed", with_(dynamic=((elves.STRTAB, 3),))),
    "a string table longer than its segment": ("elf-malformed", with_(dynamic=((elves.STRSZ, 1 << 30),))),
    "a library's name outside the strings": ("elf-malformed", with_(dynamic=((elves.NEEDED, 1 << 20),))),
    "versions outside the file": (
        "elf-malformed",
        with_(dynamic=((elves.VERNEED, elves.BASE + 1), (elves.VERNEEDNUM, 60_000)), versions={}),
    ),
    "symbols that are not loaded": ("elf-malformed", with_(undefined=("fts_open",), dynamic=((elves.SYMTAB, 3),))),
    "a hash table without end": (
        "elf-malformed",
        with_(undefined=("fts_open",), hash_style="none", dynamic=((elves.GNU_HASH, elves.BASE),)),
    ),
    "a hash table that is not loaded": (
        "elf-malformed",
        with_(undefined=("fts_open",), hash_style="none", dynamic=((elves.GNU_HASH, 3),)),
    ),
}


def judge(sample: Sample) -> list[str]:
    """The codes of what stops this wheel."""
    findings = check(sample.filename, sample.content, sample.expected).findings
    return sorted({finding.code for finding in findings})


def attacked(attack: Attack) -> Sample:
    """The native wheel with its extension module attacked."""
    needed = ("libfast-0a1b2c3d.so.1", MUSL)
    return native_wheel().add({EXTENSION: bytes(attack(AnElf(needed=needed, runpath="$ORIGIN/../demo.libs")))})


@pytest.mark.parametrize("case", LOADING | MALFORMED)
def test_one_wrong_thing_in_compiled_code_is_one_finding(case: str) -> None:
    """A wheel with one thing wrong in its extension is refused for that thing, and passes without it."""
    code, attack = (LOADING | MALFORMED)[case]
    assert [] == judge(native_wheel())
    assert [code] == judge(attacked(attack))


@pytest.mark.parametrize("case", LOADING)
def test_compiled_code_is_found_by_its_magic(case: str) -> None:
    """The same code under a name that is no library's is found all the same."""
    code, attack = LOADING[case]
    sample = native_wheel().add({"demo/data/picture.png": bytes(attack(AnElf(runpath="$ORIGIN")))})
    assert [code] == judge(sample)


HARMLESS = {
    "a program with musl's loader": with_(interpreter="/lib/ld-musl-x86_64.so.1", kind=2),
    "libraries that every base has": with_(needed=("libc.so", "libz.so.1")),
    "nothing needed": with_(needed=(), versions={}),
    "an RPATH": with_(runpath=None, rpath="$ORIGIN/../demo.libs"),
    "ORIGIN in braces": with_(runpath="${ORIGIN}/../demo.libs:$ORIGIN"),
    "versions of libstdc++": with_(versions={"libstdc++.so.6": ("GLIBCXX_3.4", "CXXABI_1.3")}),
    "libgcc's own GLIBC_2.0": with_(versions={"libgcc_s-0cd532bd.so.1": ("GCC_3.0", "GLIBC_2.0")}),
    "names like watched ones": with_(undefined=("fts", "fts_openly", "prefix_fts_open")),
    "a watched one of its own": with_(defined=("fts_open",), undefined=()),
    "an object file": with_(kind=1),
}


@pytest.mark.parametrize("attack", HARMLESS.values(), ids=HARMLESS)
def test_what_musl_loads_is_no_finding(attack: Attack) -> None:
    """Static programs, musl's own names, paths inside the wheel and other libraries' versions are all well."""
    sample = attacked(attack)
    findings = check(sample.filename, sample.content, sample.expected).findings
    assert () == findings


def without_bytes(flags: int) -> bytes:
    """A library whose headers say that its segment, with these flags, and its dynamic section have no bytes."""
    content = bytearray(bytes(AnElf(needed=("libq.so.1",))))
    struct.pack_into("<I", content, 64 + 4, flags)
    struct.pack_into("<Q", content, 64 + 32, 0)
    struct.pack_into("<2Q", content, 64 + 56 + 32, 0, 0x150)
    return bytes(content)


def test_debugging_information_alone_is_no_library() -> None:
    """`objcopy --only-keep-debug` leaves headers without bytes: in memory there are zeros, and no needed libraries."""
    assert () == read_elf(without_bytes(6), WATCHED_SYMBOLS).needed


def test_what_cannot_be_written_to_is_never_zeros() -> None:
    """There the loader maps the file's bytes, whatever length the header says."""
    with pytest.raises(ElfError, match="in no loaded segment"):
        read_elf(without_bytes(4), WATCHED_SYMBOLS)


def test_what_another_library_of_the_wheel_brings_is_there() -> None:
    """A symbol that Alpine lacks is fine where a grafted library defines it."""
    sample = attacked(with_(undefined=("fts_open",)))
    assert ["elf-not-on-alpine"] == judge(sample)
    brings = AnElf(soname="libfast-0a1b2c3d.so.1", defined=("x", "fts_open", "y"))
    assert [] == judge(sample.add({GRAFTED: bytes(brings)}))


@pytest.mark.parametrize(
    ("suffix", "codes"),
    [
        (".cpython-311-x86_64-linux-musl.so", []),
        (".abi3.so", []),
        (".so", []),
        (".cpython-310-x86_64-linux-musl.so", ["extension-suffix"]),
        (".cpython-311-x86_64-linux-gnu.so", ["extension-suffix"]),
    ],
)
def test_an_extension_must_be_one_that_this_python_imports(suffix: str, codes: list[str]) -> None:
    """An extension module for another Python, or for glibc's, would never be imported."""
    assert codes == judge(native_wheel().add({f"demo/_other{suffix}": bytes(AnElf())}))


MACHINES = {
    "x86_64": (AnElf(machine=62), "ld-musl-x86_64.so.1", ("libc.musl-x86_64.so.1",)),
    "i686": (AnElf(machine=3, bits=32), "ld-musl-i386.so.1", ("libc.musl-x86.so.1",)),
    "aarch64": (AnElf(machine=183), "ld-musl-aarch64.so.1", ("libc.musl-aarch64.so.1",)),
    "armv7l": (
        AnElf(machine=40, bits=32),
        "ld-musl-armhf.so.1",
        ("libc.musl-armv7.so.1", "libc.musl-armhf.so.1"),
    ),
    "ppc64le": (AnElf(machine=21), "ld-musl-powerpc64le.so.1", ("libc.musl-ppc64le.so.1",)),
    "s390x": (AnElf(machine=22, order=">"), "ld-musl-s390x.so.1", ("libc.musl-s390x.so.1",)),
    "riscv64": (AnElf(machine=243), "ld-musl-riscv64.so.1", ("libc.musl-riscv64.so.1",)),
    "loongarch64": (AnElf(machine=258), "ld-musl-loongarch64.so.1", ("libc.musl-loongarch64.so.1",)),
}
"""How compiled code for each architecture looks: its header, its loader, and the names under which it needs libc.

As in the musllinux wheels of ninja, markupsafe and charset-normalizer on PyPI (loongarch64 has none yet)."""


def on(architecture: str, needed: tuple[str, ...], interpreter: str) -> Sample:
    """A wheel for an architecture, with an extension module and a program, that need these."""
    filename = f"demo-1.0-cp311-cp311-musllinux_1_2_{architecture}.whl"
    elf = replace(MACHINES[architecture][0], needed=needed)
    sample = native_wheel(elf, replace(elf, interpreter=interpreter))
    sample = sample.add({f"{DIST_INFO}/WHEEL": wheel_file(filename, purelib="false")})
    target = Target(python="3.11", architecture=architecture)
    return replace(sample, filename=filename, expected=replace(sample.expected, target=target))


@pytest.mark.parametrize("architecture", MACHINES)
def test_libc_and_its_loader_bear_the_names_of_the_architecture(architecture: str) -> None:
    """libc is named after Alpine's architecture, the loader after musl's; those of another are no libc here."""
    _, loader, names = MACHINES[architecture]
    for name in names:
        assert [] == judge(on(architecture, (name,), f"/lib/{loader}"))
    _, foreign, others = MACHINES["s390x" if architecture == "x86_64" else "x86_64"]
    assert ["elf-external-library", "elf-interpreter"] == judge(on(architecture, (others[0],), f"/lib/{foreign}"))


def test_the_machine_is_the_targets() -> None:
    """Compiled code for another architecture is refused on each."""
    for architecture, (_, loader, _) in MACHINES.items():
        other = MACHINES["s390x" if architecture == "x86_64" else "x86_64"][0]
        sample = on(architecture, (), f"/lib/{loader}").add({EXTENSION: bytes(replace(other, needed=()))})
        assert ["elf-machine"] == judge(sample)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("hash_style", ["gnu", "sysv", "none"])
@pytest.mark.parametrize("machine", [elves.X86_64, elves.I386])
def test_every_form_of_elf_is_read(bits: int, order: str, hash_style: str, machine: int) -> None:
    """Both word sizes, both byte orders and every way to count symbols give the same answer."""
    elf = AnElf(
        bits=bits,
        order=order,
        hash_style=hash_style,
        machine=machine,
        interpreter="/lib/ld",
        needed=("liba.so", "libb.so"),
        soname="libme.so",
        rpath="$ORIGIN/a:$ORIGIN/b",
        versions={"liba.so": ("A_1", "A_2"), "libb.so": ("B_1",)},
        undefined=("x", "fts_open"),
        defined=("fts_close", "y"),
    )
    read = read_elf(bytes(elf), WATCHED_SYMBOLS)
    assert (bits, order == "<", machine, 3) == (read.bits, read.little_endian, read.machine, read.kind)
    assert ("/lib/ld", ("liba.so", "libb.so"), "libme.so") == (read.interpreter, read.needed, read.soname)
    assert (("$ORIGIN/a", "$ORIGIN/b"), "$ORIGIN/a:$ORIGIN/b") == (read.search_entries, read.search_path)
    assert (("liba.so", "A_1"), ("liba.so", "A_2"), ("libb.so", "B_1")) == read.versions
    assert (frozenset({"fts_open"}), frozenset({"fts_close"})) == (read.symbols.undefined, read.symbols.defined)


@pytest.mark.parametrize("hash_style", ["gnu", "none"])
def test_what_no_hash_table_has_is_found_by_its_relocation(hash_style: str) -> None:
    """A library that exports nothing has a GNU hash table of nothing, whatever it needs: ld writes it so."""
    elf = AnElf(undefined=("x", "renameat2"), relocations=((7, "renameat2"), (8, "")), hash_style=hash_style)
    content = bytearray(bytes(elf))
    if hash_style == "gnu":  # symoffset 1, as ld does
        place = content.index(struct.pack("<4I", 1, 3, 1, 0))
        struct.pack_into("<I", content, place + 4, 1)
    assert frozenset({"renameat2"}) == read_elf(bytes(content), WATCHED_SYMBOLS).symbols.undefined


def test_no_damage_makes_the_reader_fail_in_another_way() -> None:
    """Every single damaged byte gives either an answer or ElfError."""
    whole = bytes(AnElf(runpath="$ORIGIN", versions={MUSL: ("A_1",)}, undefined=("fts_open",), defined=("y",)))
    broken = 0
    for place in range(4, len(whole)):
        for value in (0, 1, 0x7F, 0xFF):
            try:
                read_elf(whole[:place] + bytes([value]) + whole[place + 1 :], WATCHED_SYMBOLS)
            except ElfError:
                broken += 1
    assert broken > 100
