"""What `symphony operators show` advises for an operator that it does not know."""

import pytest

from symphony.cli.main import main


def test_an_unknown_operator_is_looked_for_in_a_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators", "show", "my.ratio"]) != 0
    assert "symphony operators show my.ratio FILE" in capsys.readouterr().err
