"""Numbers in YAML that were read as others."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.slow
def test_yaml_long_hex_is_read_whole_in_a_workflow_and_in_data(fault: Callable[[str], Any]) -> None:
    assert fault("yaml-long-hex").run("w.yaml")["outputs"] == {"r": 255, "v": 255}
