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


AROUND = [
    "echo x > V", "echo x >& V", "echo x >&V", "cat < V", "cat <& V", "exec 3>&V", "echo x &> V",
    "echo x >| V",
    "[ V -eq 0 ]", "[ -v V ]", "test 0 -eq V", "[[ V -eq 0 ]]", "[[ 0 -lt V ]]", "[[ -v V ]]", "[[ -n V ]]",
    "[[ x == V ]]", "[[ x =~ V ]]", "[[ V < x && -e V ]]", "printf -v V x", "printf '%d' V", "printf V",
    "let V", "let x=V",
    "declare V", "declare x=V", "declare -i x=V", "declare -a x=V", "declare -i x; x=V", "typeset -i x=V",
    "f() { local x=V; }; f",
    "f() { local V; }; f", "export V", "export x=V", "readonly V", "readonly x=V", "unset V",
    "read V < /dev/null", "mapfile V < /dev/null",
    "eval V", "eval x=V", "a[V]=1", "a=(V)", "a=([V]=1)", "a+=(V)", "case V in x) ;; esac",
    "case x in V) ;; esac",
    "for i in V; do :; done", "trap V EXIT", "trap V 0", "x=V; echo $x; echo \"$x\"", "PS4=V; set -x; :",
    "echo $[V]", "echo $[ 1 + V ]",
    "echo $(echo V)", "cat <(echo V)", "echo x > >(cat V)", "set -- V", "set V", "cd V", "shift V",
    "ulimit -n V", "umask V",
    "declare -n x=V; echo $x", "compgen -W V", "compgen -C V", "x=abc; echo ${x:V}", "((x=V))",
    "for ((i=V;i<1;i++)); do :; done",
    "echo ${a[V]}", "declare a[V]=1", "read a[V] < /dev/null", "test -v a[V]",
    "mapfile -C V -c 1 x < /etc/passwd", "echo {1..V}",
    "echo ${x:-V}", "echo `echo V`", "cat <<< V", "cat <<E\nV\nE\n", "echo \"V\"", "echo 'V'", "echo $'V'",
    "V=1", "wait V", "sh -c V",
]  # fmt: skip
EVALUATED = ["$(touch pwned)", "a[$(touch pwned)]", "a[$(touch pwned)]=1", "x; touch pwned", "`touch pwned`",
             "0 + a[$(touch pwned)]", "([0]=$(touch pwned))"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell in ("sh", "bash", "ksh", "zsh")])
def test_what_a_shell_evaluates_once_more_is_refused(shell: str, tmp_path: Path) -> None:
    for around in AROUND:
        try:
            scripts = [
                filled(around.replace("V", "$[[ v ]]"), lambda _, word=word: word) for word in EVALUATED
            ]
        except ValueError:
            continue
        script = "\n".join(f"({one}) < /dev/null" for one in scripts)
        subprocess.run([shell, "-c", script], cwd=tmp_path, capture_output=True, timeout=60)
        assert not (tmp_path / "pwned").exists(), around
