"""The public surface: a name appears or goes only together with `exports.txt`.

`python tests/repository/test_exports.py` prints what that file should hold.
"""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import symphony

PINNED = Path(__file__).with_name("exports.txt")


def exports() -> list[str]:
    """`package.name` for every name in the `__all__` of a package."""
    packages = [symphony.__name__] + [
        module.name for module in pkgutil.walk_packages(symphony.__path__, "symphony.") if module.ispkg
    ]
    return sorted(
        f"{package}.{name}"
        for package in packages
        for name in getattr(importlib.import_module(package), "__all__", ())
    )


def test_packages_offer_the_names_that_are_pinned_and_no_others() -> None:
    assert exports() == PINNED.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", exports())
def test_every_name_that_is_offered_can_be_had(name: str) -> None:
    package, _, attribute = name.rpartition(".")
    assert getattr(importlib.import_module(package), attribute) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'conduct'"):
        symphony.conduct  # noqa: B018
    assert dir(symphony) == symphony.__all__


def test_every_module_can_be_imported_first() -> None:
    """None relies on another having been imported before it."""
    names = [
        module.name
        for module in pkgutil.walk_packages(symphony.__path__, "symphony.")
        if not module.name.endswith("__main__")
    ]
    program = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [module for module in sys.modules if module.split(".")[0] == "symphony"]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    command = [sys.executable, "-P", "-W", "error", "-c", program, *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    print("\n".join(exports()))
