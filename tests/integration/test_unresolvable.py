"""Requirements that the index cannot meet, through the real command, devpi and uv: told line by line, exit status 2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes.house import a_wheel
from fakes.sdists import IN_TREE, sdist
from fakes.small_graph import Site, a_site

pytestmark = pytest.mark.docker

FOREIGN = "foreign-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An upstream with a project for each way in which requirements may fail."""
    with a_site(tmp_path_factory.mktemp("site")) as site:
        add = site.upstream.add
        for version in ("1.0", "2.0"):
            add("demo", f"demo-{version}-py3-none-any.whl", a_wheel(f"demo-{version}-py3-none-any.whl"))
        add("demo", "demo-3.0a1-py3-none-any.whl", a_wheel("demo-3.0a1-py3-none-any.whl"))
        add("pillow", "pillow-1.0-py3-none-any.whl", a_wheel("pillow-1.0-py3-none-any.whl"))
        add("foreign", FOREIGN, a_wheel(FOREIGN))
        add("gone", "gone-1.0-py3-none-any.whl", a_wheel("gone-1.0-py3-none-any.whl"), yanked="it \x1b[2J broke")
        later = a_wheel("later-1.0-py3-none-any.whl")
        add("later", "later-1.0-py3-none-any.whl", later, requires_python=">=3.14")
        needs = {"pyproject.toml": IN_TREE, "backend.py": "raise SystemExit(1)"}
        info = "Metadata-Version: 2.2\nName: {}\nVersion: 1.0\nRequires-Dist: {}\n"
        for name, needed in (("left", "demo<2"), ("right", "demo>=2")):
            text = {**needs, "PKG-INFO": info.format(name, needed)}
            add(name, f"{name}-1.0.tar.gz", sdist(name, "1.0", text))
        extras = {**needs, "PKG-INFO": "Metadata-Version: 2.2\nName: extras\nVersion: 1.0\nProvides-Extra: fast\n"}
        add("extras", "extras-1.0.tar.gz", sdist("extras", "1.0", extras))
        yield site


def refused(site: Site, text: str, constraints: str | None = None) -> list[str]:
    """What `mirror plan` says of these requirements, behind its steps; it must refuse them."""
    (site.mirror.folder / "asked.txt").write_text(text)
    more = []
    if constraints is not None:
        (site.mirror.folder / "bounds.txt").write_text(constraints)
        more = ["--constraint", "bounds.txt"]
    done = site.mirror("plan", "asked.txt", *more)
    assert (2, "") == (done.returncode, done.stdout), done.stderr
    assert "Traceback" not in done.stderr
    return [line.strip() for line in done.stderr.splitlines()]


def test_every_line_in_one_pass(site: Site) -> None:
    """Each with its place, its code, what and what to do."""
    text = "pil\ndemo>=9\nforeign\ngone\nlater\nnobody-has-this; sys_platform == 'win32'\nnobody-has-that\n"
    said = refused(site, text)
    assert 'asked.txt:6:1: skipped on cp311-musllinux_1_2_x86_64: nobody-has-this; sys_platform == "win32"' in said
    target = "cp311-musllinux_1_2_x86_64"
    assert [
        "asked.txt:1:1 no-such-project: there is no project pil → did you mean pillow?",
        "asked.txt:2:1 no-such-version: no release answers demo>=9 → there are 1.0, 2.0 and 1 more",
        f"asked.txt:3:1 only-foreign-wheels: foreign 1.0 has no sdist, and no wheel for {target}, only for"
        " Linux (glibc) x86_64 → ask its maintainers to publish an sdist",
        "asked.txt:4:1 yanked: every release that answers gone was yanked (1.0: it \\x1b[2J broke) → write gone==1.0 if"
        " you want it all the same",
        "asked.txt:5:1 python-too-old: later 1.0 needs Python >=3.14, and the target has 3.11 → give `--python 3.14`",
        "asked.txt:7:1 no-such-project: there is no project nobody-has-that → check its name; what only your company"
        " has needs an index",
    ] == [line for line in said if line.startswith("asked.txt") and "skipped" not in line]


@pytest.mark.parametrize(
    ("text", "constraints", "expected"),
    [
        pytest.param(
            "demo<2\ndemo>=2\n",
            None,
            "asked.txt:2:1 conflict: demo>=2 contradicts demo<2 (asked.txt:1:1) → loosen one of the two",
            id="two lines",
        ),
        pytest.param(
            "demo<2\n",
            "demo==2.0\n",
            "bounds.txt:1:1 conflict: demo==2.0 contradicts demo<2 (asked.txt:1:1) → loosen one of the two",
            id="a constraint",
        ),
        pytest.param(
            "extras[slow]\n",
            None,
            "asked.txt:1:1 unknown-extra: extras 1.0 has no extra [slow] → it has fast",
            id="an extra of an sdist",
        ),
        pytest.param(
            "demo[slow]\n",
            None,
            "asked.txt:1:1 unknown-extra: demo 2.0 has no extra [slow] → it has none: remove the brackets",
            id="an extra of a wheel",
        ),
    ],
)
def test_is_told_with_both_lines(site: Site, text: str, constraints: str | None, expected: str) -> None:
    """Where they stand."""
    assert expected in refused(site, text, constraints)


def test_a_conflict_further_down(site: Site) -> None:
    """The resolver's own derivation, with the user's lines that are part of it."""
    said = refused(site, "pillow\nleft\nright\n")
    assert "asked.txt:2:1: left" in said
    assert "asked.txt:3:1: right" in said
    assert "asked.txt:1:1: pillow" not in said
    assert any("demo<2" in line for line in said)
    assert any("demo>=2" in line for line in said)


def test_a_hash_that_is_not_the_files(site: Site) -> None:
    """Expected, got, and from where."""
    forged = "0" * 64
    said = refused(site, f"demo==2.0 --hash=sha256:{forged}\n")
    assert "asked    at asked.txt:1:1" in said
    assert f"expected sha256:{forged}" in said
    assert any(line.startswith("got      sha256:") and line.endswith("/demo-2.0-py3-none-any.whl") for line in said)


def test_every_hash_that_is_not_the_files(site: Site) -> None:
    """In one pass, in the order of the lines."""
    forged = f"--hash=sha256:{'0' * 64}"
    said = refused(site, f"pillow==1.0 {forged}\ndemo==2.0 {forged}\n")
    assert ["asked.txt:1:1 hash-mismatch:", "asked.txt:2:1 hash-mismatch:"] == [
        " ".join(line.split(" ")[:2]) for line in said if line.startswith("asked.txt")
    ]
    assert 2 == sum(line.startswith("got      sha256:") for line in said)
