"""Globs: braces and brackets as bash expands and matches them."""

import random
import shutil
import subprocess
from typing import Any

import pytest

from symphony.kit.errors import InputRefused
from symphony.kit.globbing import matcher

pytestmark = pytest.mark.slow
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="compares with bash")


def test_braces_may_hold_slashes_and_a_bracket_may_come_first_in_a_set(fault: Any) -> None:
    result = fault("glob-brace-slash").run("w.yaml")
    assert result["outputs"] == {"found": ["src/a.py", "tests/unit/b.py"], "negated": ["src/a.py"]}


def bash(script: str, lines: list[str]) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", script], input="".join(f"{one}\n" for one in lines), capture_output=True, text=True,
        check=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.stdout.splitlines()


def pieces(rng: random.Random, alphabet: list[str], length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, length)))


def braces(rng: random.Random, depth: int) -> str:
    """Text, sequences and groups of two choices or more, in a row."""
    found = ""
    for _ in range(rng.randint(0, 3)):
        kind = rng.randrange(3) if depth else 0
        if kind == 0:
            found += rng.choice(["a", "b/", "/", "x", "\\{", "\\,", "\\}", "c"])
        elif kind == 1:
            found += rng.choice(["{1..3}", "{c..a}", "{02..4}", "{5..1..2}", "{-1..1}"])
        else:
            found += "{" + ",".join(braces(rng, depth - 1) for _ in range(rng.randint(2, 3))) + "}"
    return found


@needs_bash
@pytest.mark.parametrize("seed", range(4))
def test_braces_stand_for_what_bash_expands_them_to(seed: int) -> None:
    rng = random.Random(seed)
    patterns = [f"p{braces(rng, 2)}" for _ in range(150)]
    script = "set -f; while IFS= read -r p; do eval \"printf '%s|' $p\"; echo; done"
    expanded = [line.split("|")[:-1] for line in bash(script, patterns)]
    every = sorted({word for words in expanded for word in words[:20]})
    for pattern, words in zip(patterns, expanded, strict=True):
        compiled = matcher([pattern])
        assert compiled is not None
        if len(words) > 500:
            continue
        files = {
            "/".join(part for part in word.split("/") if part) for word in words if not word.endswith("/")
        }
        assert [word for word in sorted(files) if not compiled.fullmatch(word)] == [], pattern
        folders = [word for word in words if word.endswith("/")]
        if not folders:
            others = [w for w in every if w not in files and "//" not in w and not w.endswith("/")]
            assert [word for word in others if compiled.fullmatch(word)] == [], pattern


@needs_bash
@pytest.mark.parametrize("seed", range(4))
def test_a_part_matches_what_bash_matches(seed: int) -> None:
    rng = random.Random(seed)
    alphabet = ["[", "[", "]", "]", "!", "^", "-", "a", "b", "c", "*", "?", "\\", "[:alpha:]", "[:digit:]"]
    cases: list[tuple[str, str]] = []
    while len(cases) < 600:
        pattern, name = (
            pieces(rng, alphabet, 7),
            pieces(rng, ["a", "b", "c", "]", "[", "-", "!", "^", "\\", "1"], 3),
        )
        if not pattern.endswith("\\"):
            cases.append((pattern, name))
    script = "while IFS= read -r p && IFS= read -r n; do [[ $n == $p ]] && echo 1 || echo 0; done"
    answers = bash(script, [line for case in cases for line in case])
    for (pattern, name), answer in zip(cases, answers, strict=True):
        try:
            compiled = matcher([pattern])
        except InputRefused:
            continue  # a range from high to low
        assert compiled is not None
        assert bool(compiled.fullmatch(name)) == (answer == "1"), (pattern, name)
