"""Which tests are of cores: those that neither await nor have a folder."""

import inspect

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the others, which `make cores` leaves out."""
    if isinstance(item, pytest.Function) and (
        inspect.iscoroutinefunction(item.function) or "tmp_path" in item.fixturenames
    ):
        item.add_marker(pytest.mark.shell)
