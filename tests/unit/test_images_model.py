"""Names, labels and addresses of the images and the engine."""

from __future__ import annotations

import pytest

from mirror.adapters.engine import bridge_gateway, context_address
from mirror.adapters.images.model import labels, target_of
from mirror.core.model import Base, Target


@pytest.mark.parametrize(("label", "alpine"), [("3.22", (3, 22)), ("", None)])
def test_a_builders_labels_hold_its_target(label: str, alpine: tuple[int, int] | None) -> None:
    """What the probe saw is read back from the labels, so that nothing is run to know it."""
    target = Target(python="3.11", musl=(1, 2), architecture="aarch64", alpine=alpine)
    found = labels("builder", Base.ALPINE, "1f", request="2f", base="sha256:3f", target=target)
    assert {
        "org.mirror.role": "builder",
        "org.mirror.kind": "alpine",
        "org.mirror.inputs": "1f",
        "org.mirror.request": "2f",
        "org.mirror.base": "sha256:3f",
        "org.mirror.python": "3.11",
        "org.mirror.musl": "1.2",
        "org.mirror.alpine": label,
        "org.mirror.architecture": "aarch64",
    } == found
    assert (target, alpine) == (target_of(found), target_of(found).alpine)


@pytest.mark.parametrize(
    ("expected", "config"),
    [
        ("172.17.0.1", [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]),
        ("172.17.0.1", [{"Subnet": "172.17.0.0/16"}]),
        (
            "172.18.0.9",
            [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}, {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.9"}],
        ),
        (None, [{}]),
        (None, []),
    ],
)
def test_the_bridges_gateway_is_read(expected: str | None, config: list[dict[str, str]]) -> None:
    """The IPv4 gateway, or the subnet's first host where the engine writes no gateway down."""
    assert expected == bridge_gateway(list(config))


def test_the_current_context_says_where_the_engine_is() -> None:
    """Only the context that is current counts; the default one has no file."""
    contexts = {
        "a": '{"Name": "far", "Endpoints": {"docker": {"Host": "tcp://far.test:2376"}}}',
        "b": '{"Name": "rootless", "Endpoints": {"docker": {"Host": "unix:///run/user/1000/docker.sock"}}}',
    }
    assert "unix:///run/user/1000/docker.sock" == context_address('{"currentContext": "rootless"}', contexts)
    assert context_address("", contexts) is None
    assert context_address('{"auths": {}}', contexts) is None
