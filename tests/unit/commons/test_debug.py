import subprocess
import sys

import pytest

from symphony.commons.debug import duck


def test_the_duck_is_told_words_and_named_values(capsys: pytest.CaptureFixture[str]) -> None:
    duck("retrying", 3, node="parse")
    said = capsys.readouterr()
    assert said.err == "[DUCK DEBUGGING] retrying 3 node='parse'\n"
    assert said.out == ""


def test_the_duck_is_silent_under_python_o() -> None:
    program = "from symphony.commons.debug import duck; duck('x', y=1)"
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
