"""The architectures of musllinux tags: how each shows in an ELF file, what it is called, what musl can relocate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How an architecture shows in an ELF header, what it is called, and its dynamic relocations by number.

    `loader` is musl's name for it, which the loader's file bears. `alpine` are Alpine's own names, one of which libc's
    soname bears: abuild makes `libc.musl-$CARCH.so.1`. `relocations` are those that musl's loader knows; of them
    `fixed_tls` are offsets from the thread pointer (the initial-exec model of TLS). `ifunc` is the IRELATIVE one, which
    musl knows on none.
    """

    number: int
    bits: int
    little_endian: bool
    loader: str
    alpine: tuple[str, ...]
    relocations: frozenset[int]
    fixed_tls: frozenset[int]
    ifunc: int


MACHINES = {
    "x86_64": Machine(
        number=62,
        bits=64,
        little_endian=True,
        loader="x86_64",
        alpine=("x86_64",),
        relocations=frozenset({1, 2, 5, 6, 7, 8, 16, 17, 18, 36}),
        fixed_tls=frozenset({18}),
        ifunc=37,
    ),
    "i686": Machine(
        number=3,
        bits=32,
        little_endian=True,
        loader="i386",
        alpine=("x86",),
        relocations=frozenset({1, 2, 5, 6, 7, 8, 14, 35, 36, 37, 41}),
        fixed_tls=frozenset({14, 37}),
        ifunc=42,
    ),
    "aarch64": Machine(
        number=183,
        bits=64,
        little_endian=True,
        loader="aarch64",
        alpine=("aarch64",),
        relocations=frozenset({257, *range(1024, 1032)}),
        fixed_tls=frozenset({1030}),
        ifunc=1032,
    ),
    "armv7l": Machine(
        number=40,
        bits=32,
        little_endian=True,
        loader="armhf",
        alpine=("armv7", "armhf"),
        relocations=frozenset({2, 13, *range(17, 24)}),
        fixed_tls=frozenset({19}),
        ifunc=160,
    ),
    "ppc64le": Machine(
        number=21,
        bits=64,
        little_endian=True,
        loader="powerpc64le",
        alpine=("ppc64le",),
        relocations=frozenset({19, 20, 21, 22, 38, 43, 68, 73, 78}),
        fixed_tls=frozenset({73}),
        ifunc=248,
    ),
    "s390x": Machine(
        number=22,
        bits=64,
        little_endian=False,
        loader="s390x",
        alpine=("s390x",),
        relocations=frozenset({9, 10, 11, 12, 22, 54, 55, 56}),
        fixed_tls=frozenset({56}),
        ifunc=61,
    ),
    "riscv64": Machine(
        number=243,
        bits=64,
        little_endian=True,
        loader="riscv64",
        alpine=("riscv64",),
        relocations=frozenset({2, 3, 4, 5, 7, 9, 11, 12}),
        fixed_tls=frozenset({11}),
        ifunc=58,
    ),
    "loongarch64": Machine(
        number=258,
        bits=64,
        little_endian=True,
        loader="loongarch64",
        alpine=("loongarch64",),
        relocations=frozenset({2, 3, 4, 5, 7, 9, 11, 14}),
        fixed_tls=frozenset({11}),
        ifunc=12,
    ),
}
"""By the architecture of platform tags.

The numbers are those of each architecture's ELF psABI (x86-64, i386, AAELF64, AAELF32, ELFv2 for Power, s390x, RISC-V,
LoongArch), as musl 1.2.5's elf.h has them; which of them its loader knows is in its arch/*/reloc.h. musl takes any
library whose name begins with `libc.` for itself, so Alpine's armv7 runs what was linked on its armhf.
"""

BY_NUMBER = {machine.number: machine for machine in MACHINES.values()}
