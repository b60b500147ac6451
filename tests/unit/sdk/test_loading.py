"""Files of operators: what is loaded, and what is said of broken ones."""

import hashlib
import os
import py_compile
import sys
from pathlib import Path

import pytest

from symphony.sdk import OperatorInvalid, OperatorsNotLoaded, load_operators

GOOD = '''
from dataclasses import dataclass
from symphony.sdk import operator
from symphony.kit.text import join

@dataclass
class Both:
    a: int
    b: int

@operator("my.second", version="1.0.0")
def second(n: int) -> Both:
    """Two numbers."""
    return Both(n, n + 1)

@operator("my.first", version="1.0.0", pure=True)
async def first(n: int) -> int:
    return n

again = first
'''


def written(folder: Path, text: str | bytes, name: str = "ops.py") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_a_file_gives_its_own_operators_in_order(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    found = load_operators(file)
    assert [one.info.name for one in found] == ["my.second", "my.first"]
    assert found[0].ports(found[0].function(n=1)) == {"a": 1, "b": 2}
    assert found[0].fingerprint == hashlib.sha256(file.read_bytes()).hexdigest()


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = load_operators(written(tmp_path, GOOD))
    two = load_operators(str(written(tmp_path / "other", GOOD.replace("n + 1", "n + 2"))))
    assert one[0].ports(one[0].function(n=1)) == {"a": 1, "b": 2}
    assert two[0].ports(two[0].function(n=1)) == {"a": 1, "b": 3}


def test_the_fingerprint_is_that_of_what_was_loaded(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    found = load_operators(file)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    written(tmp_path, "changed since")
    assert found[0].fingerprint == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ndef f(:\n", r"ops\.py:2"),
        ("\0", r"ops\.py"),
        ("x = (" * 3000, r"ops\.py"),
        ("a = 1\n\nb = 1 / 0\n", r"ops\.py:3: ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", r"ops\.py:2: SystemExit"),
        ("import no_such_module_here\n", r"ops\.py:1: ModuleNotFoundError"),
        ("x = 1\n", "defines no operator"),
        ("from symphony.kit.text import join\n", "defines no operator"),
        (GOOD.replace("my.second", "my.first"), "my.first twice"),
        (b"\xff\xfe", r"ops\.py"),
        ("", "defines no operator"),
    ],
)
def test_a_broken_file_is_refused_with_file_and_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    modules = set(sys.modules)
    with pytest.raises(OperatorsNotLoaded, match=said) as caught:
        load_operators(written(tmp_path, text))
    assert caught.value.hint
    left = [name for name in set(sys.modules) - modules if name.startswith("symphony_operators")]
    assert "Error" not in caught.value.message or not left


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        (
            "no_such_module_here",
            f"install the package that has no_such_module_here into Symphony's environment, {sys.prefix},",
        ),
        ("symphony.no_such_part", "this version of Symphony has no module symphony.no_such_part"),
    ],
)
def test_a_module_that_is_missing_is_told_where_it_belongs_and_ours_is_never_one_to_install(
    tmp_path: Path, module: str, hint: str
) -> None:
    with pytest.raises(OperatorsNotLoaded) as caught:
        load_operators(written(tmp_path, f"import {module}\n"))
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


def test_a_function_that_does_not_suit_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorInvalid, match=r"bad \(.*ops\.py:2\)"):
        load_operators(
            written(
                tmp_path,
                "from symphony.sdk import operator\n@operator('a.b', version='1.0.0')\ndef bad(x): ...\n",
            )
        )


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorsNotLoaded, match="No such file"):
        load_operators(tmp_path / "nope.py")
    with pytest.raises(OperatorsNotLoaded) as caught:
        load_operators(tmp_path)
    assert caught.value.hint == "name one file"


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(OperatorsNotLoaded, match="cannot be read"):
            load_operators(path)


def test_a_module_that_changed_within_the_second_of_its_first_import_is_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = written(tmp_path, "X = 1\n", "beside_ops.py")
    os.utime(module, ns=(10**18, 10**18))
    compiled = py_compile.compile(str(module), doraise=True)
    assert compiled is not None
    os.utime(compiled, ns=(10**18 + 10**8, 10**18 + 10**8))
    written(tmp_path, "X = 2\n", "beside_ops.py")
    os.utime(module, ns=(10**18 + 2 * 10**8, 10**18 + 2 * 10**8))
    load_operators(written(tmp_path, "import beside_ops\nassert beside_ops.X == 2\n" + GOOD))
