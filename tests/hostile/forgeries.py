"""Sdists that want something published that is not theirs, as data; the wall that a control takes down is the gate."""

from __future__ import annotations

from dataclasses import dataclass

from hostile.arena import Walls
from hostile.attacks import WHEEL, hook

UNGATED = Walls(gate=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgery:
    """A program that wants something published: with every wall up nothing is, with `down` `published` is."""

    name: str
    program: str
    reason: str
    """Stands in the reason of the failure, whose code is `gate`."""
    published: str
    down: Walls = UNGATED


FORGERIES = (
    Forgery(
        name="another project's wheel",
        program=hook("return leave(folder, 'numpy', '9.9')"),
        reason="numpy",
        published="numpy-9.9-py3-none-any.whl",
    ),
    Forgery(
        name="another version",
        program=hook("return leave(folder, version='9.9')"),
        reason="9.9",
        published="attack-9.9-py3-none-any.whl",
    ),
    Forgery(
        name="a neighbour's module",
        program=hook("return leave(folder, module='colleague')"),
        reason="colleague",
        published=WHEEL,
        down=Walls(others=frozenset()),
    ),
    Forgery(
        name="the sdist as the wheel, by a hard link",
        program=hook(f"os.link('/scratch/inputs/attack-1.0.tar.gz', folder + '/{WHEEL}')\nreturn '{WHEEL}'"),
        reason="zip",
        published=WHEEL,
    ),
    Forgery(
        name="a result written past the agent",
        program=hook(
            """
name = leave("/scratch/tmp", "numpy", "9.9")
content = open("/scratch/tmp/" + name, "rb").read()
wire_frames((19, content), (20, json.dumps({"ok": True, "wheel": name}).encode()))
time.sleep(30)
"""
        ),
        reason="numpy",
        published="numpy-9.9-py3-none-any.whl",
    ),
    Forgery(
        name="a path as the wheel's name",
        program=hook(
            """
name = leave(folder)
content = open(folder + "/" + name, "rb").read()
wire_frames((19, content), (20, json.dumps({"ok": True, "wheel": "../../" + name}).encode()))
time.sleep(30)
"""
        ),
        reason="attack",
        published="../../" + WHEEL,
    ),
    Forgery(
        name="a result of the first hook",
        program=hook("return leave(folder)")
        + """
def get_requires_for_build_wheel(*_):
    name = leave("/scratch/tmp", "numpy", "9.9")
    content = open("/scratch/tmp/" + name, "rb").read()
    wire_frames((19, content), (20, json.dumps({"ok": True, "wheel": name}).encode()))
    time.sleep(30)
""",
        reason="numpy",
        published="numpy-9.9-py3-none-any.whl",
    ),
    Forgery(
        name="the environment's Python replaced between two hooks",
        program=hook("return leave(folder)")
        + """
PYTHON = '''#!{real}
import json, sys
sys.path.insert(0, ".")
from wheelwright import leave
leave(json.load(open(sys.argv[2]))["arguments"][0], "numpy", "9.9")
open(sys.argv[3], "w").write("1")
'''
def get_requires_for_build_wheel(*_):
    python = "/scratch/work/env/bin/python"
    text = PYTHON.replace("{real}", os.path.realpath(python))
    os.remove(python)
    with open(python, "w") as file:
        file.write(text)
    os.chmod(python, 0o755)
    return []
""",
        reason="numpy",
        published="numpy-9.9-py3-none-any.whl",
    ),
    Forgery(
        name="code at every start of Python",
        program=hook("return leave(folder, more={'attack.pth': b'import os'})"),
        reason="pth-file",
        published=WHEEL,
    ),
    Forgery(
        name="a file outside of site-packages",
        program=hook("return leave(folder, more={'x.data/data/etc/profile.d/attack.sh': b'true'})"),
        reason="data-folder",
        published=WHEEL,
    ),
    Forgery(
        name="a member that climbs",
        program=hook("return leave(folder, more={'../../../etc/cron.d/attack': b''})"),
        reason="path-traversal",
        published=WHEEL,
    ),
    Forgery(
        name="a script that climbs",
        program=hook(
            "points = b'[console_scripts]\\na = attack:b\\n ../../../../etc/x = attack:b'\n"
            "return leave(folder, more={'attack-1.0.dist-info/entry_points.txt': points})"
        ),
        reason="entry-point-name",
        published=WHEEL,
    ),
    Forgery(
        name="a neighbour's bytecode",
        program=hook("return leave(folder, more={'__pycache__/requests.cpython-311.pyc': b''})"),
        reason="foreign-top-level",
        published=WHEEL,
    ),
    Forgery(
        name="a dependency from elsewhere",
        program=hook("return leave(folder, metadata='Requires-Dist: x @ http://127.0.0.1:9/x-1-py3-none-any.whl')"),
        reason="metadata-direct-reference",
        published=WHEEL,
    ),
    Forgery(
        name="another sdist that it was made of",
        program=hook(
            "said = {'sdist': 'attack-1.0.tar.gz', 'sha256': 64 * '0', 'upstream': None, 'target': '', 'recipe': {}}\n"
            "return leave(folder, more={'attack-1.0.dist-info/mirror.json': json.dumps(said).encode()})"
        ),
        reason="made-of-forged",
        published=WHEEL,
    ),
)
