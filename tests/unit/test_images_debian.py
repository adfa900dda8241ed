"""What the bootstrap reads of a Debian host."""

from __future__ import annotations

from pathlib import Path

from mirror.adapters.images.debian import (
    AptSource,
    host_sources,
    listed,
    missing_packages,
    parse_deb822,
    parse_one_line,
    private_sources,
    why_not_here,
)

DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.test/debian
Suites: bookworm
Components: main

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb deb-src
URIs: http://mirror.test/security
Suites: bookworm-security
Components:
 main
"""
SIGNED = (("signed-by", "/usr/share/keyrings/debian-archive-keyring.gpg"),)
MAIN = AptSource(uri="http://mirror.test/debian", suite="bookworm", components=("main", "contrib"), options=SIGNED)
UPDATES = AptSource(
    uri="http://mirror.test/debian", suite="bookworm-updates", components=("main", "contrib"), options=SIGNED
)
SECURITY = AptSource(uri="http://mirror.test/security", suite="bookworm-security", components=("main",))


def test_deb822_entries_of_binary_packages_are_read() -> None:
    """Each suite of an enabled deb stanza is an entry; source-only and disabled stanzas are none."""
    assert (MAIN, UPDATES, SECURITY) == parse_deb822(DEB822)


def test_an_inline_signing_key_is_left_out() -> None:
    """A key given in the stanza itself has no one-line form."""
    text = "Types: deb\nURIs: http://m.test\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n"
    assert (AptSource(uri="http://m.test", suite="bookworm", components=("main",)),) == parse_deb822(text)


def test_one_line_entries_are_read() -> None:
    """Options, comments, source entries and addresses with brackets are told apart."""
    text = """\
deb http://mirror.test/debian bookworm main  # the mirror
#deb http://off.test/debian bookworm main
deb-src http://mirror.test/debian bookworm main
deb [ arch=amd64 trusted=yes ] http://[::1]:8000/debian bookworm-updates main contrib
nonsense
"""
    assert (
        AptSource(uri="http://mirror.test/debian", suite="bookworm", components=("main",)),
        AptSource(
            uri="http://[::1]:8000/debian",
            suite="bookworm-updates",
            components=("main", "contrib"),
            options=(("trusted", "yes"),),
        ),
    ) == parse_one_line(text)


def test_private_sources_name_the_hosts_own_mirror() -> None:
    """This release with its source packages, and the next release at the same address; others are left out."""
    other = AptSource(uri="http://other.test", suite="nodistro", components=("main",))
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert (
        f"deb {signed} http://mirror.test/debian bookworm main\n"
        f"deb-src {signed} http://mirror.test/debian bookworm main\n"
        "deb http://mirror.test/security bookworm-security main\n"
        "deb-src http://mirror.test/security bookworm-security main\n",
        f"deb {signed} http://mirror.test/debian trixie main\n",
    ) == private_sources([other, MAIN, SECURITY])


def test_without_the_release_there_are_no_private_sources() -> None:
    """Security updates alone do not make a Debian 12."""
    assert private_sources([SECURITY]) is None


def test_both_styles_of_sources_are_read_from_their_files(tmp_path: Path) -> None:
    """sources.list, *.list and *.sources count; other names do not."""
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.test bookworm main\n")
    (parts / "b.list").write_text("deb http://b.test bookworm main\n")
    (parts / "c.sources").write_text("Types: deb\nURIs: http://c.test\nSuites: bookworm\nComponents: main\n")
    (parts / "d.sources.disabled").write_text("Types: deb\nURIs: http://d.test\nSuites: bookworm\nComponents: main\n")
    assert ["http://a.test", "http://b.test", "http://c.test"] == [source.uri for source in host_sources(tmp_path)]


def test_only_what_dpkg_calls_installed_is_there() -> None:
    """A package that was removed but left its configuration is missing, as is one dpkg never heard of."""
    assert ("perl", "tcl") == missing_packages(
        ("make", "perl", "tcl"), "make installed\nperl config-files\nmake-guile installed\n"
    )


def test_lists_have_comments_and_blank_lines() -> None:
    """Only the entries of a list count."""
    assert ("a", "b") == listed("# first\na\n\nb\n")


def test_hosts_that_cannot_make_the_images_are_told_why() -> None:
    """Another system, another architecture, another user, a missing program: each has its sentence."""
    debian = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
    ubuntu = 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nVERSION_ID="24.04"\n'
    there = {"apt-get": True, "tar": True}
    assert why_not_here(debian, "x86_64", 0, there) is None
    assert [
        "this host runs Ubuntu 24.04, and they are made from Debian 12's packages, on Debian 12",
        "this host runs an unknown system, and they are made from Debian 12's packages, on Debian 12",
        "this host is aarch64, and they are for x86_64",
        "that needs root on this host",
        "this host lacks apt-get",
    ] == [
        why_not_here(ubuntu, "x86_64", 0, there),
        why_not_here("", "x86_64", 0, there),
        why_not_here(debian, "aarch64", 0, there),
        why_not_here(debian, "x86_64", 1000, there),
        why_not_here(debian, "x86_64", 0, {"apt-get": False, "tar": True}),
    ]
