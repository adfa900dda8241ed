"""What sandboxes are told to do, as whole values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fakes.house import WORKSHOP, FakeWindow, pin, requirements
from fakes.outcomes import a_job
from fakes.sdists import LIMITS
from mirror.adapters.sandbox.options import Tenant, container_options
from mirror.core.model import BuildSystem, Recipe
from mirror.ports import Task
from mirror.tasks import BuildEnvironment, compile_task, import_task, install_task, resolve_task

LOG = Path("/logs/1.log")
WINDOW = FakeWindow()
NUMPY = a_job("numpy", "1.23.5").key.name
ENVIRONMENT = BuildEnvironment(
    build_system=BuildSystem(requires=("setuptools",), backend="setuptools.build_meta", backend_path=("tools",)),
    requires=("setuptools", "cython"),
    wheels={"setuptools-65.0-py3-none-any.whl": Path("/store/setuptools")},
)


def test_resolving_runs_in_the_builder_image_with_a_window() -> None:
    """A metadata hook may have to run, and that may compile."""
    expected = Task(
        command="resolve",
        arguments={
            "requirements": ["numpy~=1.23", "Django>=5.0rc1", "a==1.0b1; python_version < '3'", "b!=1.0b1"],
            "constraints": ["numpy<2", "Pandas==3.0.0rc1"],
            "pre_releases": True,
            "pre_releases_of": ["a", "django", "pandas"],
        },
        image="builder",
        label="resolve",
        limits=LIMITS,
        window=WINDOW,
        log=LOG,
    )
    asked = ("numpy~=1.23", "Django>=5.0rc1", "a==1.0b1; python_version < '3'", "b!=1.0b1")
    constraints = ("numpy<2", "Pandas==3.0.0rc1")
    assert expected == resolve_task(WORKSHOP, asked, constraints, pre_releases=True, window=WINDOW, log=LOG)


def test_a_compile_has_no_window_and_gets_what_it_may_know() -> None:
    """The sdist, the wheels, what the sdist and the recipe say; and a wall clock of the recipe's."""
    recipe = Recipe(
        environment={"NPY_BLAS_ORDER": ""},
        config_settings={"--global-option": "-x"},
        build_constraints=("setuptools<66",),
        timeout_s=7200,
    )
    job = a_job("numpy", "1.23.5", recipe)
    expected = Task(
        command="compile",
        arguments={
            "sdist": "numpy-1.23.5.tar.gz",
            "backend": "setuptools.build_meta",
            "backend_path": ["tools"],
            "config_settings": {"--global-option": "-x"},
            "requires": ["setuptools", "cython"],
            "environment": {"NPY_BLAS_ORDER": ""},
            "processes": 2,
            "platform": "musllinux_1_2_x86_64",
        },
        image="builder",
        label="compile numpy 1.23.5",
        limits=replace(LIMITS, wall_clock_s=7200),
        inputs={
            "numpy-1.23.5.tar.gz": Path("/store/numpy"),
            "wheelhouse/setuptools-65.0-py3-none-any.whl": Path("/store/setuptools"),
        },
        window=None,
        log=LOG,
    )
    assert expected == compile_task(WORKSHOP, job, ENVIRONMENT, Path("/store/numpy"), LOG)


def test_without_a_recipe_the_limits_are_those_of_the_settings() -> None:
    """The wall clock too."""
    task = compile_task(WORKSHOP, a_job("numpy", "1.23.5"), ENVIRONMENT, Path("/store/numpy"), LOG)
    assert LIMITS == task.limits


def test_the_clean_room_is_the_base_image_and_gets_no_hashes() -> None:
    """Our own wheel is in nobody's list of hashes: pip would refuse it."""
    asked = requirements("numpy==1.23.5 --hash=sha256:ab", constraints=["pandas<2"], pre_releases=True)
    expected = Task(
        command="install",
        arguments={"requirements": ["numpy==1.23.5"], "constraints": ["pandas<2"], "pre_releases": True},
        image="base",
        label="verify",
        limits=LIMITS,
        window=WINDOW,
        log=LOG,
    )
    assert expected == install_task(WORKSHOP, asked, WINDOW, LOG)


def test_a_project_is_imported_where_nothing_is_but_wheels() -> None:
    """No window: what is imported and what stands beside it is sent along, the project's own wheel last."""
    numpy, six = "numpy-1.23.5-cp311-cp311-musllinux_1_2_x86_64.whl", "six-1.17.0-py2.py3-none-any.whl"
    wheels = {numpy: Path("/store/numpy"), six: Path("/store/six")}
    beside = {"django.whl": Path("/store/django")}
    expected = Task(
        command="import",
        arguments={"project": "numpy", "wheels": [six, numpy], "beside": ["django.whl"], "modules": ["numpy.core"]},
        image="base",
        label="import numpy 1.23.5",
        limits=LIMITS,
        inputs={**wheels, **beside},
        log=LOG,
    )
    assert expected == import_task(WORKSHOP, pin("numpy 1.23.5"), wheels, beside, ("numpy.core",), LOG)


def test_what_a_company_sets_reaches_no_compile() -> None:
    """Proxies and certificates are for image builds and the index: the container's environment is these five."""
    task = compile_task(WORKSHOP, a_job("numpy", "1.23.5"), ENVIRONMENT, Path("/store/numpy"), LOG)
    image_variables = ["https_proxy", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PATH"]
    options = container_options(task, Tenant(run="run", user_id=23456), None, image_variables)
    assert (
        {
            **dict.fromkeys(["https_proxy", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]),
            "HOME": "/scratch/home",
            "LANG": "C.UTF-8",
            "LOGNAME": "build",
            "USER": "build",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        False,
        "none",
    ) == (options["environment"], options["use_config_proxy"], options["network_mode"])
