"""Sdists that break their own job, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hostile.arena import ALL_UP, INNER, Walls
from hostile.attacks import WHEEL, hook
from hostile.forgeries import UNGATED
from mirror.adapters.sandbox import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Nuisance:
    """A program that breaks its own job in a way that has a name: this outcome, and exactly this reason."""

    name: str
    program: str
    outcome: str
    reason: str
    control_outcome: str
    """Of the control: with `down`, or of `control`."""
    up: Walls = ALL_UP
    down: Walls = ALL_UP
    control: str | None = None
    """Where no wall can be taken down: the same way taken by a program that keeps to the form, and gets through."""


BUILD_FAILED = "build-failed"
ESCAPES = hook(
    "wire_frames((20, json.dumps({'ok': False, 'message': chr(27) + '[2Jall is well'}).encode()))\ntime.sleep(30)"
)
BLIND = wire.BOOT.replace(
    "from agent.__main__",
    "import agent.compile\n"
    "agent.compile._only_wheel = lambda folder: sorted(folder.glob('*.whl'))[0]\n"
    "from agent.__main__",
)
"""Starts an agent that takes the first file for the wheel, whatever it is."""
UNSEEING = Walls(options={"command": ["python3", "-I", "-c", BLIND]}, gate=False)
IMPATIENT = replace(INNER, silence_s=5)
LEAVE = hook("return leave(folder)")
NUISANCES = (
    Nuisance(
        name="two wheels",
        program=hook("leave(folder, 'numpy', '9.9')\nreturn leave(folder)"),
        outcome=BUILD_FAILED,
        reason="the build backend left 2 wheels; PEP 517 asks for one",
        control_outcome="built",
        down=UNSEEING,
    ),
    Nuisance(
        name="no wheel",
        program=hook(f"return '{WHEEL}'"),
        outcome=BUILD_FAILED,
        reason="the build backend left 0 wheels; PEP 517 asks for one",
        control_outcome="build-crashed",
        down=UNSEEING,
    ),
    Nuisance(
        name="a symlink as the wheel",
        program=hook(f"os.symlink('/etc/passwd', folder + '/{WHEEL}')\nreturn '{WHEEL}'"),
        outcome=BUILD_FAILED,
        reason=f"the build backend left '{WHEEL}', which is no regular file",
        control_outcome="built",
        down=UNSEEING,
    ),
    Nuisance(
        name="a FIFO as the wheel",
        program=hook(f"os.mkfifo(folder + '/{WHEEL}')\nreturn '{WHEEL}'"),
        outcome=BUILD_FAILED,
        reason=f"the build backend left '{WHEEL}', which is no regular file",
        control_outcome="silent",
        down=replace(UNSEEING, limits=IMPATIENT),
    ),
    Nuisance(
        name="an endless wheel",
        program=hook(f"open(folder + '/{WHEEL}', 'wb').truncate(8 << 20)\nreturn '{WHEEL}'"),
        outcome="output-too-large",
        reason="its wheel is too large: its output is over 4194304 bytes",
        control_outcome="built",
        down=replace(UNGATED, limits=replace(INNER, output_bytes=16 << 20)),
    ),
    Nuisance(
        name="garbage on the wire",
        program=hook("open('/proc/1/fd/1', 'wb', 0).write(bytes(9))\ntime.sleep(30)"),
        outcome="wire-broken",
        reason="it sent what the agent never sends: a frame of the unknown kind 0",
        control_outcome="built",
        control=hook("wire_frames((17, b'a log line'))\nreturn leave(folder)"),
    ),
    Nuisance(
        name="kill the agent",
        program=hook("os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(30)"),
        outcome="build-crashed",
        reason="the sandbox ended without a result: it ended without a result",
        control_outcome="built",
        control=hook("os.kill(os.getppid(), 0)\nreturn leave(folder)"),
    ),
    Nuisance(
        name="kill everything",
        program=hook("os.kill(-1, signal.SIGKILL)"),
        outcome="build-crashed",
        reason="the sandbox ended without a result: it ended without a result",
        control_outcome="built",
        control=hook("os.kill(-1, 0)\nreturn leave(folder)"),
    ),
    Nuisance(
        name="stop the agent",
        program=hook("os.kill(os.getppid(), signal.SIGSTOP)\nprint('alone', flush=True)\ntime.sleep(30)"),
        outcome="silent",
        reason="it said nothing for too long: said nothing for 5 s",
        up=Walls(limits=replace(INNER, silence_s=5)),
        control_outcome="timed-out",
        down=Walls(limits=replace(INNER, wall_clock_s=12)),
    ),
    Nuisance(
        name="options of the resolver as build requirements",
        program="def get_requires_for_build_wheel(*_):\n    return ['--index-url=http://127.0.0.1:9']\n",
        outcome="bad-build-requirements",
        reason="the build backend asked for what is no dependency specifier: --index-url=http://127.0.0.1:9",
        control_outcome="needs more",
        control="def get_requires_for_build_wheel(*_):\n    return ['attack']\n",
    ),
    Nuisance(
        name="build requirements that are none",
        program="def get_requires_for_build_wheel(*_):\n    return {'a': 1}\n",
        outcome=BUILD_FAILED,
        reason="the build backend's get_requires_for_build_wheel returned no list of strings (PEP 517)",
        control_outcome="built",
        control="def get_requires_for_build_wheel(*_):\n    return []\n" + LEAVE,
    ),
    Nuisance(
        name="an answer of the hook's own",
        program=hook("open('/scratch/work/build_wheel.answer', 'w').write('[' * 100_000)\nos._exit(0)"),
        outcome=BUILD_FAILED,
        reason="the build backend's build_wheel wrote its own answer: RecursionError",
        control_outcome="built",
        control=hook("leave(folder)\nopen('/scratch/work/build_wheel.answer', 'w').write('1')\nos._exit(0)"),
    ),
)
