"""Values of parameters in commands, read back from real shells: no value does anything but stand there."""

import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest

from symphony.workflow.templates.shell_text import filled

HOSTILE = [
    "", " ", "'", '"', "\\", "\n", "\t", "$(touch pwned)", "`touch pwned`", "; touch pwned", "| touch pwned",
    "&& touch pwned", "$HOME", "${IFS}", "*", "~", "-n", "--", "'; touch pwned; '", "\"'\"'", "#", "!!",
    "'\"'\"'; touch pwned #", "\\'; touch pwned #", "\r\n touch pwned", "${{ env.X }}", "$[[ a ]]", "$'\\''",
    "é漢🎵\u202e", "\x1b[2J", "<(touch pwned)", "\\\n", "a" * 5000,
]  # fmt: skip
SHELLS = [shell for shell in ("sh", "bash", "dash", "ksh", "zsh", "busybox") if shutil.which(shell)]
PLACES = [
    "printf '%s\\0' $[[ v ]]",
    "x=$[[ v ]]; printf '%s\\0' \"$x\"",
    "# it's a note\nprintf '%s\\0' $[[ v ]] # and another",
    "if [ -n x ]; then (printf '%s\\0' $[[ v ]]); fi",
    "case $[[ v ]] in nothing) ;; *) printf '%s\\0' $[[ v ]];; esac",
    "printf '%s\\0' ''$[[ v ]]\"\"",
]


def words() -> list[str]:
    chance = Random(7)
    alphabet = "ab'\"\\$`;|&(){}[]<>*?~#!\n\t =é-"
    return HOSTILE + [
        "".join(chance.choice(alphabet) for _ in range(chance.randrange(1, 12))) for _ in range(150)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("place", PLACES)
def test_every_value_arrives_as_it_was_given(shell: str, place: str, tmp_path: Path) -> None:
    script = "\n".join(filled(place, lambda _, word=word: word) for word in words())
    argv = ["busybox", "sh"] if shell == "busybox" else [shell]
    done = subprocess.run([*argv, "-c", script], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.stderr == b""
    assert done.stdout.decode().split("\0")[:-1] == words()
    assert list(tmp_path.iterdir()) == []
