"""Recipes: what sections say together, and what is said about sections that are wrong."""

import tomllib
from collections.abc import Mapping

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from mirror import resources
from mirror.core.model import Recipe
from mirror.core.recipes import Recipes, RecipesError, parse

PANDAS = canonicalize_name("pandas")


def recipes(*texts: str) -> Recipes:
    """The recipes of some TOML files, called 1.toml and so on."""
    return parse([(f"{number}.toml", tomllib.loads(text)) for number, text in enumerate(texts, 1)])


def problems(values: Mapping[str, object]) -> list[str]:
    """What is said about one file."""
    with pytest.raises(RecipesError) as caught:
        parse([("mirror.toml", values)])
    return [*caught.value.details]


def test_no_section_is_an_empty_recipe() -> None:
    """A project nobody speaks of builds with defaults."""
    assert Recipe() == recipes().for_project(PANDAS, Version("1.5.3"))


def test_a_section_says_everything() -> None:
    """Every key arrives, units and all."""
    text = """
        [[recipe]]
        project = "Pandas"
        versions = ">=1.5,<2"
        reason = '''it needs
            this'''
        system-packages = ["libffi-dev", "foo=1.0-r0"]
        environment = { A = "1" }
        config-settings = { "setup-args" = "-Dx=y" }
        build-constraints = ["setuptools < 80"]
        oddities = ["no-extension"]
        import-names = ["pandas._libs"]
        timeout = "1h30min"
    """
    expected = Recipe(
        system_packages=("libffi-dev", "foo=1.0-r0"),
        environment={"A": "1"},
        config_settings={"setup-args": "-Dx=y"},
        build_constraints=("setuptools<80",),
        oddities=("no-extension",),
        import_names=("pandas._libs",),
        timeout_s=5400,
        reasons=("it needs this",),
    )
    assert expected == recipes(text).for_project(PANDAS, Version("1.5.3"))


@pytest.mark.parametrize(("version", "speaks"), [("1.5", True), ("1.5rc1", False), ("1.9.dev1", True), ("2.0", False)])
def test_a_section_speaks_of_its_versions(version: str, speaks: bool) -> None:
    """Specifiers decide, and pre-releases count as any other."""
    text = '[[recipe]]\nproject = "pandas"\nversions = ">=1.5,<2"\nreason = "r"\n'
    assert (("r",) if speaks else ()) == recipes(text).for_project(PANDAS, Version(version)).reasons


def test_later_sections_win() -> None:
    """Tables merge key by key, lists add up without repeating, import names and timeout are replaced."""
    shipped = """
        [[recipe]]
        project = "pandas"
        reason = "shipped"
        system-packages = ["a-dev", "b-dev"]
        environment = { A = "1", B = "1" }
        build-constraints = ["setuptools<80"]
        import-names = ["pandas"]
        timeout = "2h"
    """
    user = """
        [[recipe]]
        project = "pandas"
        reason = "user"
        system-packages = ["b-dev", "c-dev"]
        environment = { B = "2" }
        import-names = []
        timeout = "3h"
    """
    expected = Recipe(
        system_packages=("a-dev", "b-dev", "c-dev"),
        environment={"A": "1", "B": "2"},
        build_constraints=("setuptools<80",),
        import_names=(),
        timeout_s=10800,
        reasons=("shipped", "user"),
    )
    assert expected == recipes(shipped, user).for_project(PANDAS, Version("1.5.3"))


def test_all_problems_come_in_one_pass() -> None:
    """Each with file, section and key, what it is and what to do."""
    values = {
        "recipe": [
            {"project": "Foo Bar", "timeout": "30"},
            {"project": "pandas", "reason": "r", "verions": "<3", "system-packages": "libffi-dev"},
            {"reason": "", "environment": {"A": 1}, "versions": "1.5", "config-settings": []},
            {
                "project": "a",
                "reason": "r",
                "build-constraints": ["setuptools<", "b[c]", "d @ https://example.org/d.zip"],
            },
            {"project": "b", "reason": "r", "environment": {"A B": "1"}, "import-names": ["a-b"], "oddities": ["A!"]},
            {"project": "c", "reason": "r", "system-packages": ["libffi-dev; rm"], "timeout": "90m"},
            {"project": "d", "reason": 3, "timeout": "0s", "import-names": ["a", 1]},
        ]
    }
    assert [
        "mirror.toml:recipe[1 Foo Bar].project bad-value: 'Foo Bar' is not a project name"
        " → write it as on PyPI, without a version",
        'mirror.toml:recipe[1 Foo Bar].reason missing-key: the key is missing → write reason = "why it needs this"',
        'mirror.toml:recipe[1 Foo Bar].timeout bad-value: 30 has no unit → write "30min" or s or h',
        "mirror.toml:recipe[2 pandas].system-packages wrong-type: expected a list of texts, found text"
        ' → write system-packages = ["libffi-dev"]',
        "mirror.toml:recipe[2 pandas].verions unknown-key: there is no such key → did you mean versions?",
        'mirror.toml:recipe[3].project missing-key: the key is missing → write project = "pandas"',
        "mirror.toml:recipe[3].versions bad-value: '1.5' is not a version specifier → write one such as \">=1.5,<2\"",
        "mirror.toml:recipe[3].reason bad-value: the text is empty"
        ' → remove the key, or write reason = "why it needs this"',
        "mirror.toml:recipe[3].environment.A wrong-type: expected text, found a whole number → put the value in quotes",
        "mirror.toml:recipe[3].config-settings wrong-type: expected a table of texts, found a list"
        ' → write config-settings = { name = "value" }',
        "mirror.toml:recipe[4 a].build-constraints bad-value: 'setuptools<' is not a requirement"
        ' → write one such as "setuptools<80"',
        "mirror.toml:recipe[4 a].build-constraints bad-value: 'b[c]' is more than a constraint"
        " → write a name and versions, no extras and no URL",
        "mirror.toml:recipe[4 a].build-constraints bad-value: 'd @ https://example.org/d.zip' is more than a constraint"
        " → write a name and versions, no extras and no URL",
        "mirror.toml:recipe[5 b].environment bad-value: 'A B' is not the name of a variable"
        " → write letters, digits and underscores",
        "mirror.toml:recipe[5 b].import-names bad-value: 'a-b' is not the name of a module"
        " → write it as in an import statement",
        "mirror.toml:recipe[5 b].oddities bad-value: 'A!' is not the name of a finding's code"
        " → copy it from the finding",
        "mirror.toml:recipe[6 c].timeout bad-value: '90m' is not a duration"
        ' → write numbers and units (d, h, min, s): "1h30min"',
        "mirror.toml:recipe[6 c].system-packages bad-value: 'libffi-dev; rm' is not the name of an apk package"
        " → write its name, such as libffi-dev",
        "mirror.toml:recipe[7 d].reason wrong-type: expected text, found a whole number"
        ' → write reason = "why it needs this"',
        "mirror.toml:recipe[7 d].import-names wrong-type: expected a list of texts,"
        ' found a list with something else in it → write import-names = ["package.module"]',
        "mirror.toml:recipe[7 d].timeout bad-value: nothing is too little"
        ' → write numbers and units (d, h, min, s): "1h30min"',
    ] == problems(values)


@pytest.mark.parametrize("value", [{}, "pandas", [1]])
def test_a_table_instead_of_sections(value: object) -> None:
    """[recipe] and the like say what to write."""
    found = problems({"recipe": value})
    assert 1 == len(found)
    assert found[0].endswith("→ write [[recipe]] on a line of its own")


@pytest.mark.parametrize(
    ("version", "bounded"), [("1.5.3", ("setuptools<80",)), ("1.5.2", ("setuptools<80",)), ("2.2.3", ())]
)
def test_the_article_needs_nothing_from_the_user(version: str, bounded: tuple[str, ...]) -> None:
    """pandas 1.5 builds by a recipe that ships."""
    file = resources.config() / "recipes.toml"
    shipped = parse([(file.name, tomllib.loads(file.read_text(encoding="utf-8")))])
    assert bounded == shipped.for_project(PANDAS, Version(version)).build_constraints


def test_shipped_sections_are_sorted() -> None:
    """One looks for a project by its name."""
    values = tomllib.loads((resources.config() / "recipes.toml").read_text(encoding="utf-8"))
    names = [section["project"] for section in values["recipe"]]
    assert sorted(names) == names


def test_an_oddity_that_no_recipe_may_expect_is_a_problem() -> None:
    """What says that a file is broken or lies is never allowed, and a slip of the pen is told."""
    sections = [
        {"project": "a", "reason": "r", "oddities": ["record-hash"]},
        {"project": "b", "reason": "r", "oddities": ["no-extensions"]},
    ]
    with pytest.raises(RecipesError) as caught:
        parse([("mirror.toml", {"recipe": sections})])
    first, second = (str(problem) for problem in caught.value.problems)
    assert "'record-hash' is no finding that a recipe may expect → write one of case-collision, data-library, " in first
    assert "'no-extensions' is no finding that a recipe may expect → did you mean no-extension?" in second
