"""What all tests share: how many examples properties get, and no home of the developer's."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for _name, _examples in (("quick", 8), ("default", 25), ("fuzz", 5_000)):
    settings.register_profile(
        _name,
        derandomize=_name != "fuzz",
        max_examples=_examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("SYMPHONY_HYPOTHESIS", "default"))


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's machine may change what a test sees, nor a test its home."""
    for name in tuple(os.environ):
        if name.startswith("SYMPHONY_") and not name.startswith(("SYMPHONY_HYPOTHESIS", "SYMPHONY_CRASH")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SYMPHONY_HOME", str(_home(tmp_path_factory)))


def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "home"
