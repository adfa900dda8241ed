"""What an installer says of itself, what it misses, and who may have that built."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from mirror.adapters.devpi.listening import gateways
from mirror.adapters.queue import Queue
from mirror.core.misses import Link, OnDemand, missed, parse_client, parse_network, read_on_demand, topic
from mirror.core.model import Target
from mirror.server.misses import Misses

PIP_ON_MUSL = (
    'pip/22.3.1 {"ci":null,"cpu":"x86_64","distro":{"id":"alpine","name":"Alpine Linux","version":"3.22.1"},'
    '"implementation":{"name":"CPython","version":"3.11.2"},"installer":{"name":"pip","version":"22.3.1"},'
    '"openssl_version":"OpenSSL 3.0.22 25 Aug 2026","python":"3.11.2","system":{"name":"Linux","release":"6.1"}}'
)
PIP_ON_GLIBC = PIP_ON_MUSL.replace('"distro":{', '"distro":{"libc":{"lib":"glibc","version":"2.36"},')
UV_ON_MUSL = (
    'uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9","subcommand":["pip","install"]},"python":"3.12.2",'
    '"implementation":{"name":"CPython","version":"3.12.2"},"distro":{"name":"Alpine Linux","version":"3.22","id":null,'
    '"libc":{"lib":"musl","version":"1.2"}},"system":{"name":"Linux","release":"6.1"},"cpu":"aarch64","ci":null}'
)
PROXY = Path(__file__).parents[2] / "config" / "nginx" / "common.conf"
TARGET = Target(python="3.11", musl=(1, 2), architecture="x86_64")
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7")
MUSL, GLIBC = "musllinux_1_2_x86_64", "manylinux_2_17_x86_64"


def links(*filenames: str) -> list[Link]:
    """Files without anything special about them."""
    return [Link(filename=filename) for filename in filenames]


def test_an_installer_says_what_it_runs_on() -> None:
    """pip names no libc but glibc, uv names both; a release of Python is X.Y."""
    assert TARGET == parse_client(PIP_ON_MUSL)
    assert Target(python="3.12", musl=(1, 2), architecture="aarch64") == parse_client(UV_ON_MUSL)
    loongson = UV_ON_MUSL.replace("aarch64", "loongarch64")
    assert Target(python="3.12", musl=(1, 2), architecture="loongarch64") == parse_client(loongson)


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        "Mozilla/5.0",
        "pip/22.3.1",
        "pip/22.3.1 {",
        "pip/22.3.1 []",
        "pip/22.3.1 {}",
        "pip/1 " + "[" * 3000,
        PIP_ON_GLIBC,
        PIP_ON_MUSL.replace("Linux", "Darwin"),
        PIP_ON_MUSL.replace("CPython", "PyPy"),
        PIP_ON_MUSL.replace('"x86_64"', '"../../etc"'),
        PIP_ON_MUSL.replace('"x86_64"', "7"),
        PIP_ON_MUSL.replace('"python":"3.11.2"', '"python":"2.7.18"'),
        PIP_ON_MUSL.replace('"python":"3.11.2"', '"python":"3.11; rm -rf /"'),
        PIP_ON_MUSL.replace('"python":"3.11.2"', '"python":["3.11.2"]'),
        UV_ON_MUSL.replace('"1.2"', "null"),
        UV_ON_MUSL.replace('{"lib":"musl","version":"1.2"}', "null"),
        re.sub(r'"distro":\{.*?\}\}', '"distro":null', UV_ON_MUSL),
        re.sub(r'"distro":\{.*?\},', "", PIP_ON_MUSL),
        re.sub(r'"distro":\{.*?\}', '"distro":{}', PIP_ON_MUSL),
        re.sub(r'"distro":\{.*?\}', '"distro":{"libc":"musl"}', PIP_ON_MUSL),
    ],
)
def test_any_other_client_is_none(user_agent: str) -> None:
    """Whatever it sends: nothing is guessed."""
    assert parse_client(user_agent) is None


def as_the_proxy_reads(variable: str, user_agent: str) -> str:
    """What nginx's map of the User-Agent gives: the first expression that is found, with what it names."""
    (body,) = re.findall(rf"map \$http_user_agent \${variable} {{(.*?)\n    }}", PROXY.read_text(), re.DOTALL)
    for pattern, value in re.findall(r'^\s*"~((?:[^"\\]|\\.)*)"\s+(\S+);$', body, re.MULTILINE):
        if match := re.search(pattern.replace('\\"', '"').replace("(?<", "(?P<"), user_agent):
            return str(match[value[1:]] if value.startswith("$") else value)
    return ""


@pytest.mark.parametrize(
    "user_agent",
    [
        *(PIP_ON_MUSL, PIP_ON_GLIBC, UV_ON_MUSL, UV_ON_MUSL.replace("musl", "glibc")),
        UV_ON_MUSL.replace("aarch64", "loongarch64"),
        UV_ON_MUSL.replace('{"lib":"musl","version":"1.2"}', "null"),
        re.sub(r'"distro":\{.*?\},', "", PIP_ON_MUSL),
        re.sub(r'"distro":\{.*?\}', '"distro":{}', PIP_ON_MUSL),
        PIP_ON_MUSL.replace('Linux"', 'Darwin"'),
        PIP_ON_MUSL.replace("x86_64", "sparc"),
    ],
)
def test_the_proxy_tells_the_same_clients_apart(user_agent: str) -> None:
    """Its cache gives one page to all whom it holds for the same: then the plugin sees the first of them alone."""
    python, cpu = (as_the_proxy_reads(name, user_agent) for name in ("client_python", "client_cpu"))
    is_musl = "musl" == as_the_proxy_reads("client_libc", user_agent)
    expected = Target(python=python, musl=(1, 2), architecture=cpu) if is_musl and cpu else None
    assert expected == parse_client(user_agent)


@given(st.text(max_size=200), st.sampled_from(["", "pip/1 {", 'pip/26.0 {"distro":']))
def test_no_user_agent_breaks_it(text: str, before: str) -> None:
    """It is a stranger's."""
    assert isinstance(parse_client(before + text), Target | None)


@pytest.mark.parametrize(
    ("filenames", "version"),
    [
        ([], None),
        (["a-1.0.tar.gz"], "1.0"),
        (["a-1.0.tar.gz", f"a-1.0-cp311-cp311-{GLIBC}.whl"], "1.0"),
        (["a-1.0.tar.gz", f"a-1.0-cp311-cp311-{MUSL}.whl"], None),
        (["a-1.0.tar.gz", "a-1.0-py3-none-any.whl"], None),
        (["a-1.0.tar.gz", f"a-1.0-cp312-cp312-{MUSL}.whl"], "1.0"),
        (["a-1.0.tar.gz", f"a-1.0-cp311-cp311-{MUSL}.whl", "a-1.1.tar.gz"], "1.1"),
        (["a-1.0.tar.gz", "a-1.0-py3-none-any.whl", "a-1.1rc1.tar.gz"], None),
        (["a-1.1rc1.tar.gz"], "1.1rc1"),
        ([f"a-2.0-cp311-cp311-{GLIBC}.whl", "a-1.0.tar.gz"], "1.0"),
        ([f"a-2.0-cp311-cp311-{GLIBC}.whl"], None),
        (["a-1.0.exe", "nonsense", "a-x.tar.gz", "a-1.0-py3.whl"], None),
    ],
)
def test_a_miss_is_what_pip_would_compile(filenames: list[str], version: str | None) -> None:
    """The newest release that has a file for the target, and no wheel."""
    assert (Version(version) if version else None) == missed(links(*filenames), TARGET)


def test_what_pip_does_not_take_is_no_miss() -> None:
    """Yanked files, and those for other Pythons."""
    assert missed([Link(filename="a-1.0.tar.gz", yanked="broken")], TARGET) is None
    assert missed([Link(filename="a-1.0.tar.gz", requires_python=">=3.12")], TARGET) is None
    both = [Link(filename="a-2.0.tar.gz", requires_python=">=3.12"), *links("a-1.0.tar.gz")]
    assert Version("1.0") == missed(both, TARGET)


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        *((address, True) for address in ("10.1.2.3", "172.18.0.1", "192.168.7.7", "fd00::1", "127.0.0.1")),
        *((address, False) for address in ("8.8.8.8", "172.32.0.1", "2001:db8::1", "", "no", "10.0.0.1, 8.8.8.8")),
    ],
)
def test_named_networks_are_trusted(address: str, trusted: bool) -> None:
    """And nobody else; by itself, none is: private addresses are what a stranger's request has behind a balancer."""
    assert trusted == OnDemand(networks=PRIVATE).trusts(address)
    assert not OnDemand().trusts(address)
    assert OnDemand(networks=("0.0.0.0/0",)).trusts("8.8.8.8")


def test_what_is_denied_is_not_built() -> None:
    """By the normalised name; and nothing is at none an hour."""
    policy = OnDemand(deny=("corp-*", "numpy"))
    assert [False, False, True] == [policy.wants(name) for name in ("Corp_Secret", "numpy", "pandas")]
    assert not OnDemand(per_hour=0).wants("pandas")
    assert [True, False] == [OnDemand(deny=("corp-*",), per_hour=0).denies(name) for name in ("Corp.X", "pandas")]


def test_the_policy_survives_its_file() -> None:
    """The index's plugin reads what the settings say."""
    policy = OnDemand(networks=("10.0.0.0/8",), deny=("x",), per_hour=3, wait_s=9)
    assert policy == read_on_demand(policy.to_json())


def test_a_network_is_written_as_one() -> None:
    """Or it is said how."""
    assert "10.0.0.0/8" == parse_network("10.0.0.0/8")
    with pytest.raises(ValueError, match="it is no network") as failure:
        parse_network("10.0.0.1/8")
    assert "write it as in 10.0.0.0/8" == failure.value.args[1]


def test_all_who_miss_the_same_have_one_topic() -> None:
    """It is what the queue knows a build by."""
    assert "numpy==1.23.5 for cp311-musllinux_1_2_x86_64" == topic("numpy", Version("1.23.5"), TARGET)


def test_a_gateways_address_is_everybodys(tmp_path: Path) -> None:
    """It is trusted in no network, as every other address of that is."""
    policy = OnDemand(networks=("172.18.0.0/16",))
    misses = Misses(Queue(tmp_path), policy, gateways=frozenset({"172.18.0.1"}))
    assert [False, True] == [misses.trusts(address) for address in ("172.18.0.1", "172.18.0.7")]
    assert Misses(Queue(tmp_path), policy).trusts("172.18.0.1")


def test_a_containers_gateway_is_known(tmp_path: Path) -> None:
    """From what the kernel tells (proc_net_route(5)), byte for byte as it does; none where it tells nothing."""
    gateway = int.from_bytes(bytes((172, 18, 0, 1)), sys.byteorder)
    lines = (
        "Iface\tDestination\tGateway\tFlags",
        f"eth0\t00000000\t{gateway:08X}\t0003",
        "eth0\t000012AC\t00000000\t0001",
    )
    (tmp_path / "route").write_text("\n".join(lines) + "\n")
    assert frozenset({"172.18.0.1"}) == gateways(tmp_path / "route")
    assert frozenset() == gateways(tmp_path / "none")
