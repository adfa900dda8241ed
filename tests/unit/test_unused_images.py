"""Which images of ours may go."""

from __future__ import annotations

from dataclasses import replace

from mirror.core.unused_images import HeldImage, unused


def image(number: int, role: str, *names: str, **changes: object) -> HeldImage:
    """An image of that id, made at that second."""
    plain = HeldImage(
        id=str(number), names=names, role=role, series=("3.11",), builder="", base="", created_s=number, is_in_use=False
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


OLD = image(1, "builder", "mirror/builder:old", base="10")
NEW = image(2, "builder", "mirror/builder:new", base="11")
OTHER = image(3, "builder", "mirror/builder:other", series=("3.12",), base="10")
OF_OLD = image(4, "builder-with-packages", "mirror/builder:packages-old", builder="1")
OF_NEW = image(5, "builder-with-packages", "mirror/builder:packages-new", builder="2")
LEFT = image(6, "builder")
SERVER, OLD_SERVER = image(7, "server", "mirror/index:latest"), image(8, "server")
OLD_BASE, BASE = image(10, "base"), image(11, "base", "mirror/base:bootstrap-3.11")


def test_the_newest_of_each_series_stays() -> None:
    """With its base and what recipes added to it; what has no name and what is replaced goes, top first."""
    images = (OLD, NEW, OF_OLD, OF_NEW, LEFT, SERVER, OLD_SERVER, OLD_BASE, BASE)
    assert (OF_OLD, OLD, LEFT, OLD_SERVER, OLD_BASE) == unused(images, ())


def test_a_base_of_another_series_stays() -> None:
    """Though it has lost its name to a newer one: the builder that stays was made of it."""
    assert () == unused((OTHER, OLD_BASE, NEW, BASE), ())


def test_what_the_settings_take_stays() -> None:
    """Though a newer one was made for other settings."""
    assert () == unused((OLD, NEW, OF_OLD), {"1"})


def test_what_a_container_stands_on_stays() -> None:
    """And what that was made of."""
    busy = replace(OF_OLD, is_in_use=True)
    assert (LEFT,) == unused((OLD, NEW, busy, LEFT), ())


def test_a_builder_without_a_name_does_not_stay_for_being_the_newest() -> None:
    """Its name went to the one that `mirror up --refresh` made."""
    assert (replace(LEFT, created_s=99),) == unused((NEW, replace(LEFT, created_s=99)), ())
