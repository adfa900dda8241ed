"""What the engine is told about a sandbox, held against the promises as one value."""

from __future__ import annotations

import json

import pytest
from docker.types import LogConfig, Ulimit

from mirror.adapters.sandbox import wire
from mirror.adapters.sandbox.options import Tenant, check_limits, container_options, system_calls
from mirror.core.errors import UnusableError
from mirror.ports import Limits, Task

LIMITS = Limits(
    memory_bytes=1 << 30,
    scratch_bytes=1 << 29,
    processes=100,
    open_files=1000,
    wall_clock_s=60,
    silence_s=30,
    log_bytes=1 << 20,
    output_bytes=1 << 25,
)
TASK = Task(command="compile", arguments={"a": 1}, image="sha256:0123", label="compile numpy 1.23.5", limits=LIMITS)
TENANT = Tenant(run="host:1:abc", user_id=23456)
ABLE = {"MemoryLimit": True, "SwapLimit": True, "PidsLimit": True, "SecurityOptions": ["name=seccomp,profile=default"]}


def test_options() -> None:
    """Every wall stands in the one value that the engine gets; nothing else does."""
    expected = {
        "image": "sha256:0123",
        "command": ["python3", "-I", "-c", wire.BOOT],
        "entrypoint": [],
        "user": "23456:23456",
        "hostname": "sandbox",
        "working_dir": "/",
        "environment": {
            "PIP_INDEX_URL": None,
            "PYTHON_VERSION": None,
            "HOME": "/scratch/home",
            "LOGNAME": "build",
            "USER": "build",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        "use_config_proxy": False,
        "labels": {
            "org.mirror.run": "host:1:abc",
            "org.mirror.task": "compile numpy 1.23.5",
            "org.mirror.user": "23456",
        },
        "stdin_open": True,
        "tty": False,
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={system_calls()}"],
        "read_only": True,
        "init": True,
        "tmpfs": {
            "/scratch": "rw,exec,nosuid,nodev,size=536870912,nr_inodes=131072,mode=0700,uid=23456,gid=23456",
        },
        "shm_size": 64 << 20,
        "mem_limit": 1 << 30,
        "memswap_limit": 1 << 30,
        "pids_limit": 100,
        "ulimits": [Ulimit(name="nofile", soft=1000, hard=1000), Ulimit(name="core", soft=0, hard=0)],
        "log_config": LogConfig(type="none"),
        "ipc_mode": "private",
    }
    image_variables = ("PATH", "LANG", "PYTHON_VERSION", "PIP_INDEX_URL")
    assert expected == container_options(TASK, TENANT, None, image_variables)


def test_system_calls() -> None:
    """What is not named is refused; sockets are allowed but vsock's, and nothing makes one past the filter."""
    profile = json.loads(system_calls())
    rules = [rule for rule in profile["syscalls"] if "socket" in rule["names"]]
    families = {
        "names": ["socket"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}],
    }
    allowed = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert "SCMP_ACT_ERRNO" == profile["defaultAction"]
    assert [families] == rules
    refused = {
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "process_madvise",
        "kcmp",
        "pidfd_getfd",
        "socketcall",
        "io_uring_setup",
        "mount",
        "bpf",
        "unshare",
        "setns",
        "keyctl",
        "init_module",
        "kexec_load",
    }
    assert set() == refused & allowed


def test_a_runtime_changes_nothing_else() -> None:
    """A stronger runtime is one entry more."""
    plain = container_options(TASK, TENANT, None)
    assert {**plain, "runtime": "runsc"} == container_options(TASK, TENANT, "runsc")


def test_an_engine_that_can_enforce_all() -> None:
    """An engine with every limit is taken without a word."""
    assert () == check_limits(ABLE, ())


@pytest.mark.parametrize(
    ("change", "accepted", "refused"),
    [
        ({"SwapLimit": False}, (), "swap"),
        ({"PidsLimit": False}, ("swap",), "pids"),
        ({"MemoryLimit": False, "SwapLimit": False}, ("swap",), "memory"),
        ({"SecurityOptions": ["name=apparmor"]}, ("memory", "swap", "pids"), "seccomp"),
        ({"SecurityOptions": None, "PidsLimit": None}, (), "pids, seccomp"),
        ({"BuildahVersion": "1.33.7"}, ("seccomp",), "vsock"),
    ],
)
def test_a_missing_limit_is_named(change: dict[str, object], accepted: tuple[str, ...], refused: str) -> None:
    """What the engine cannot enforce is refused by name, unless exactly that is accepted."""
    with pytest.raises(UnusableError) as caught:
        check_limits({**ABLE, **change}, accepted)
    what = f"this Docker engine cannot enforce a limit that every sandbox must have: {refused}"
    assert ("limit-missing", what) == (caught.value.code, caught.value.what)


def test_a_missing_limit_can_be_accepted() -> None:
    """The user may do without one that they name; the hint of the refusal is what to paste."""
    with pytest.raises(UnusableError) as caught:
        check_limits({**ABLE, "SwapLimit": False}, ())
    assert caught.value.hint.endswith('accept-missing-limits = ["swap"]')
    assert ("swap",) == check_limits({**ABLE, "SwapLimit": False}, ("swap", "pids"))


@pytest.mark.parametrize("missing", ["seccomp", "vsock"])
def test_an_engine_that_takes_no_profile(missing: str) -> None:
    """Where the engine cannot filter system calls our way, and the user accepts that, nothing else changes."""
    whole = container_options(TASK, TENANT, None)
    expected = {**whole, "security_opt": ["no-new-privileges"]}
    assert expected == container_options(TASK, TENANT, None, (), ("swap", missing))
