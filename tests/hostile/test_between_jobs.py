"""One job must not influence another: nothing that a sandbox can write to is there for the next."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from packaging.utils import canonicalize_name

from fakes.house import a_wheel
from fakes.index import FakeIndex
from fakes.sdists import SCRATCH
from hostile.arena import ALL_UP, SUCCEEDED, Result, Walls, run_attack
from hostile.attacks import backend, options
from mirror.adapters.images.model import ROLE

pytestmark = pytest.mark.docker

Run = Callable[[str, Walls], Result]

LEAVE_A_TRACE = """
places = ["/tmp", "/var/tmp", "/dev/shm", "/mnt", "/root", "/run", "/opt/mirror", sys.prefix, os.path.expanduser("~")]
for place in [*places, "/scratch", *(os.path.join(place, ".cache") for place in places)]:
    try:
        os.makedirs(place, exist_ok=True)
        open(os.path.join(place, "trace"), "w").close()
    except OSError:
        pass
return False
"""
FIND_A_TRACE = """
return any("trace" in files for folder, _, files in os.walk("/") if not folder.startswith(("/proc", "/sys")))
"""
FOLDER_DOWN = options(volumes=["{shared}:/mnt"])


@pytest.mark.parametrize(
    ("walls", "found"),
    [
        pytest.param(ALL_UP, False, id="every wall up"),
        pytest.param(FOLDER_DOWN, True, id="a folder in common"),
    ],
)
def test_traces(run: Run, walls: Walls, found: bool) -> None:
    """What a job leaves wherever it can write, the next one does not find; in a folder that both have, it does."""
    assert "built" == run(backend(LEAVE_A_TRACE), walls).outcome
    second = run(backend(FIND_A_TRACE), walls)
    assert ("built", found) == (second.outcome, second.succeeded), second


POISON = """
import glob
wheels = glob.glob("/scratch/inputs/wheelhouse/*.whl")
for path in ["/mnt/helper.whl", *wheels, *glob.glob("/scratch/work/**/helper/*.py", recursive=True)]:
    try:
        open(path, "w").write("VALUE = 'poisoned'")
    except OSError:
        pass
return not wheels
"""
USE = """
import helper
return helper.VALUE != 1
"""


@pytest.mark.parametrize("wall_is_up", [True, False], ids=["every wall up", "the store in reach"])
def test_the_wheelhouse(client: docker.DockerClient, builder_image: str, tmp_path: Path, wall_is_up: bool) -> None:
    """A build requirement that one job overwrites in its wheelhouse and environment comes whole to the next."""
    filename = "helper-1.0-py3-none-any.whl"
    content = a_wheel(filename)

    def an_index() -> FakeIndex:  # one for each: nothing is built twice, but the store is the same
        index = FakeIndex(tmp_path / "store")
        index.add_upstream("helper", filename, content)
        return index

    index = an_index()
    kept = index.fetch(*index.files(canonicalize_name("helper")))
    kept.chmod(0o666)
    walls = ALL_UP if wall_is_up else options(volumes=[f"{kept}:/mnt/helper.whl"])
    requires = '"helper==1.0"'
    first = run_attack(
        client, builder_image, tmp_path / "first", backend(POISON), walls, index=index, requires=requires
    )
    assert ("built", False) == (first.outcome, first.succeeded), first
    assert wall_is_up == (content == kept.read_bytes())
    second = run_attack(
        client, builder_image, tmp_path / "second", backend(USE), ALL_UP, index=an_index(), requires=requires
    )
    assert ("built" if wall_is_up else "build-failed", False) == (second.outcome, second.succeeded), second


RISE = """
return subprocess.run(["/usr/local/bin/rise"]).returncode == 42
"""
DOCKERFILE = """FROM {image}
USER 0
RUN echo 'int geteuid(void); int main(void) {{ return geteuid() ? 0 : 42; }}' > /tmp/rise.c && \\
    cc -o /usr/local/bin/rise /tmp/rise.c && chmod 4755 /usr/local/bin/rise
"""


@pytest.fixture
def image_with_root_s_program(engine: docker.DockerClient, builder_image: str) -> Iterator[str]:
    """A builder image with a program that runs as root, whoever starts it; its id."""
    dockerfile = io.BytesIO(DOCKERFILE.format(image=builder_image).encode())
    image, _ = engine.images.build(fileobj=dockerfile, labels={ROLE: "test"}, rm=True)
    yield str(image.id)
    engine.images.remove(str(image.id))


def test_programs_of_root(client: docker.DockerClient, image_with_root_s_program: str, tmp_path: Path) -> None:
    """A program that is set to run as root does not, unless new privileges may be had."""
    walls: Mapping[str, Walls] = {"up": ALL_UP, "down": options(security_opt=[])}
    results = {
        name: run_attack(client, image_with_root_s_program, tmp_path / name, backend(RISE), wall)
        for name, wall in walls.items()
    }
    assert {"up": ("built", False), "down": ("built", True)} == {
        name: (result.outcome, result.succeeded) for name, result in results.items()
    }, f"{SUCCEEDED} is expected of the second: {results}"


QUEUES = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
def make(number):
    attributes = ctypes.create_string_buffer(struct.pack("4l", 0, 10, 8192, 0), 64)
    return libc.mq_open(b"/mirror-test-%d" % number, os.O_CREAT | os.O_RDWR, 0o600, attributes) >= 0
"""
USE_UP_THE_QUEUES = f"""
{QUEUES}
made = 0
while made < 64 and make(made):
    made += 1
print("all are mine", flush=True)
time.sleep(8)
return False
"""
FIND_NO_QUEUE = f"""
{QUEUES}
return not make(0)
"""
ONE_USER = options(user="10001:10001", tmpfs={"/scratch": f"{SCRATCH},size={32 << 20}".format(user_id=10001)})


@pytest.mark.parametrize(
    ("walls", "found"),
    [
        pytest.param(ALL_UP, False, id="every wall up"),
        pytest.param(ONE_USER, True, id="one user for all"),
    ],
)
def test_what_the_kernel_counts_for_each_user(run: Run, walls: Walls, found: bool) -> None:
    """A job that uses up its user's message queues leaves none to the next where both are one user, and else all."""
    with ThreadPoolExecutor(1) as pool:
        hog = pool.submit(run, backend(USE_UP_THE_QUEUES), walls)
        time.sleep(4)
        second = run(backend(FIND_NO_QUEUE), walls)
        assert ("built", found) == (second.outcome, second.succeeded), second
        assert "all are mine" in hog.result().log
