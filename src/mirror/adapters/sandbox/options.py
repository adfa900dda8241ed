"""What the engine is told about a sandbox, and what an engine must be able to enforce: values in, values out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from docker.types import LogConfig, Ulimit

from mirror.adapters.sandbox import user_ids, wire
from mirror.core.errors import UnusableError
from mirror.ports import Task

RUN_LABEL = "org.mirror.run"
TASK_LABEL = "org.mirror.task"
SHARED_MEMORY_BYTES = 64 << 20
"""What /dev/shm holds, beside the scratch folder: Python's multiprocessing wants it. It counts as memory."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_LABEL = 100
IMAGE_VARIABLES = frozenset({"PATH", "LANG", "PKG_CONFIG_PATH"})
"""What a sandbox inherits of its image's environment. A company's base image may hold its credentials in others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose a sandbox is: the run that labels it, and the user id that no other one on the engine has."""

    run: str
    user_id: int


Options = Callable[[Task, Tenant, str | None, Iterable[str], Collection[str]], dict[str, Any]]
"""The type of `container_options`."""

LIMITS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "memory": lambda info: bool(info.get("MemoryLimit")),
    "swap": lambda info: bool(info.get("SwapLimit")),
    "pids": lambda info: bool(info.get("PidsLimit")),
    "seccomp": lambda info: any("name=seccomp" in option for option in info.get("SecurityOptions") or ()),
    # Podman (whose `info` tells of Buildah) takes a profile by a path on its own host alone, and its own allows vsock.
    "vsock": lambda info: "BuildahVersion" not in info,
}
"""Name of a limit to whether the engine, by its own account (`docker info`), can enforce it."""


def container_name(label: str, run: str) -> str:
    """What `docker ps` shows of a sandbox, but for the number of the attempt: what it does, and which run's it is."""
    return f"mirror-{_NO_NAME.sub('-', label)[:_LONGEST_LABEL]}-{run}"


def container_options(
    task: Task, tenant: Tenant, runtime: str | None, image_variables: Iterable[str] = (), missing: Collection[str] = ()
) -> dict[str, Any]:
    """Everything the engine is told about a sandbox: pure, so that a test can hold it against the promises.

    `image_variables` are the names of the variables that the image sets; `missing` are the
    limits (of LIMITS) that the engine lacks and the user does without.
    """
    profile = [] if {"seccomp", "vsock"} & set(missing) else [f"seccomp={system_calls()}"]
    limits = task.limits
    user_id = tenant.user_id
    scratch = f"rw,exec,nosuid,nodev,size={limits.scratch_bytes},nr_inodes={limits.scratch_inodes}"
    return {
        "image": task.image,
        "command": ["python3", "-I", "-c", wire.BOOT],
        "entrypoint": [],
        "user": f"{user_id}:{user_id}",
        "hostname": "sandbox",
        "working_dir": "/",
        "environment": {
            # A name without a value takes the variable away.
            **dict.fromkeys(sorted(set(image_variables) - IMAGE_VARIABLES)),
            "HOME": "/scratch/home",
            # Its user has no name in the image's /etc/passwd: programs that ask for one look here first.
            "LOGNAME": "build",
            "USER": "build",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            **task.environment,
        },
        # Else the SDK would add the proxies of the user's ~/.docker/config.json, passwords and all.
        "use_config_proxy": False,
        "labels": {RUN_LABEL: tenant.run, TASK_LABEL: task.label, user_ids.LABEL: str(user_id)},
        "stdin_open": True,
        "tty": False,
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", *profile],
        "read_only": True,
        "init": True,
        "tmpfs": {"/scratch": f"{scratch},mode=0700,uid={user_id},gid={user_id}"},
        "shm_size": SHARED_MEMORY_BYTES,
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "pids_limit": limits.processes,
        "ulimits": [
            Ulimit(name="nofile", soft=limits.open_files, hard=limits.open_files),
            Ulimit(name="core", soft=0, hard=0),
        ],
        "log_config": LogConfig(type="none"),
        "ipc_mode": "private",
        **({"runtime": runtime} if runtime else {}),
    }


@cache
def system_calls() -> str:
    """The seccomp profile of every sandbox, as JSON.

    Docker's default one for a container without capabilities (moby 20.10.24, profiles/seccomp/default.json, with some
    harmless calls of later kernels), without four things that engines allow: vsock sockets, which reach a virtual
    machine's host and know no network namespaces; socketcall and io_uring, which make them out of a filter's sight; and
    ptrace, with which a build could hold the agent and speak in its place: both are the same user's processes.
    """
    return json.dumps(json.loads((resources.files("mirror.adapters.sandbox") / "seccomp.json").read_text()))


def check_limits(info: Mapping[str, Any], accepted: Collection[str]) -> tuple[str, ...]:
    """Hold what `docker info` says against LIMITS; `accepted` are the names the user does without.

    Returns those that are missing and accepted. Raises UnusableError (`limit-missing`), which names every other one.
    """
    missing = [name for name, is_enforced in LIMITS.items() if not is_enforced(info)]
    refused = [name for name in missing if name not in accepted]
    if refused:
        listed = ", ".join(f'"{name}"' for name in missing)
        raise UnusableError(
            "limit-missing",
            f"this Docker engine cannot enforce a limit that every sandbox must have: {', '.join(refused)}",
            hint="switch it on in the host's kernel (`docker info` warns of it), or do without it at your own risk:"
            f" accept-missing-limits = [{listed}]",
        )
    return tuple(missing)
