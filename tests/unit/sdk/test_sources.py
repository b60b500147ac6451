"""The code that an operator's file runs: itself and all that it imports."""

import os
import py_compile
import re
import shutil
import sys
import tomllib
import zipfile
from code import InteractiveInterpreter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony import operator
from symphony.sdk import sources
from symphony.sdk.fingerprints import code_digest, fingerprint, source_digest
from symphony.sdk.imports import imports_of
from symphony.sdk.loading import load_operators
from symphony.sdk.sources import REQUIREMENTS, Walk

ROOT = Path(__file__).parents[3]


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


USES = [
    ("import rates_a", {"rates_a.py": "X"}),
    ("import rates_a as r", {"rates_a.py": "X"}),
    ("from rates_a import rate", {"rates_a.py": "X"}),
    ("from rates_a import *", {"rates_a.py": "X"}),
    ("def f():\n    import rates_a", {"rates_a.py": "X"}),
    ("class A:\n    from rates_a import rate", {"rates_a.py": "X"}),
    ("try:\n    import rates_a\nexcept ImportError:\n    pass", {"rates_a.py": "X"}),
    ("import importlib\nimportlib.import_module('rates_a')", {"rates_a.py": "X"}),
    ("__import__('rates_a')", {"rates_a.py": "X"}),
    ("import rates_p", {"rates_p/__init__.py": "X"}),
    ("import rates_p.tax", {"rates_p/__init__.py": "", "rates_p/tax.py": "X"}),
    ("from rates_p import tax", {"rates_p/__init__.py": "", "rates_p/tax.py": "X"}),
    ("from rates_p import *", {"rates_p/__init__.py": "__all__ = ['tax']", "rates_p/tax.py": "X"}),
    ("import rates_p.tax", {"rates_p/tax.py": "X"}),  # a namespace package
    ("import rates_p.tax", {"rates_p/__init__.py": "X", "rates_p/tax.py": ""}),
    ("import rates_p", {"rates_p/__init__.py": "from . import tax", "rates_p/tax.py": "X"}),
    ("import rates_p", {"rates_p/__init__.py": "from .tax import a", "rates_p/tax.py": "X"}),
    ("import rates_p.a.b", {"rates_p/a/b.py": "from ..tax import a", "rates_p/tax.py": "X"}),
    ("import rates_b", {"rates_b.py": "import rates_c", "rates_c.py": "import rates_d", "rates_d.py": "X"}),
    ("import rates_b", {"rates_b.py": "import rates_c", "rates_c.py": "import rates_b\nX"}),
    ("import rates_b", {"rates_b.py": "def f():\n    from rates_c import a", "rates_c.py": "X"}),
]  # fmt: skip


@pytest.mark.parametrize("where", ["beside", "on the path"])
@pytest.mark.parametrize(("text", "files"), USES)
def test_a_change_in_what_is_imported_is_a_change_of_the_file(
    text: str, files: dict[str, str], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path if where == "beside" else tmp_path / "lib"
    if where == "on the path":
        monkeypatch.syspath_prepend(folder)
    seen = []
    for value in ("rate = 1", "rate = 2"):
        written(folder, {name: body.replace("X", value) for name, body in files.items()})
        sys.path_importer_cache.clear()
        seen.append(source_digest(str(tmp_path / "ops.py"), text.encode()))
    assert None not in seen
    assert seen[0] != seen[1]
    assert seen[1] == source_digest(str(tmp_path / "ops.py"), text.encode())


def test_a_module_in_an_archive_counts_by_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, seen = tmp_path / "lib.zip", []
    monkeypatch.syspath_prepend(archive)
    for value in ("1", "2"):
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("rates_z.py", f"rate = {value}")
        sys.path_importer_cache.clear()
        seen.append(source_digest(str(tmp_path / "ops.py"), b"import rates_z"))
    assert None not in seen
    assert seen[0] != seen[1]


def test_a_module_that_appears_later_counts(tmp_path: Path) -> None:
    text = b"try:\n    import rates_late\nexcept ImportError:\n    pass"
    before = source_digest(str(tmp_path / "ops.py"), text)
    (tmp_path / "rates_late.py").write_text("")
    assert before is not None
    assert source_digest(str(tmp_path / "ops.py"), text) != before


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nname = 'a'\nimportlib.import_module(name)",
        "from importlib import import_module as load, import_module\nimport_module(f'x{1}')",
        "__import__(chosen())",
        "from importlib.util import spec_from_file_location\nspec_from_file_location('a', __file__)",
        "import runpy\nrunpy.run_path('other.py')",
        "def f():\n    import sys\n    sys.path.insert(0, 'elsewhere')\n    import rates_elsewhere",
        "import rates_dynamic",
        "from importlib import import_module as load\nload('a')",
        "import importlib\nlist(map(importlib.import_module, ['a', 'b']))",
        "load = __import__\nload('a')",
        "exec(open('other.py').read())",
        "code = compile(open('other.py').read(), 'other.py', 'exec')",
        "from importlib.metadata import entry_points\nentry_points(group='rates')",
        "import pkgutil\npkgutil.resolve_name('a:b')",
    ],
)
def test_code_that_only_running_it_finds_is_unknown(text: str, tmp_path: Path) -> None:
    (tmp_path / "rates_dynamic.py").write_text("import importlib, os\nimportlib.import_module(os.name)")
    assert source_digest(str(tmp_path / "ops.py"), text.encode()) is None


def test_functions_that_are_called_like_those_that_run_code_are_none(tmp_path: Path) -> None:
    text = b"import re\nWORD = re.compile('x')\nclass A:\n    def exec(self): return self.exec()"
    assert source_digest(str(tmp_path / "ops.py"), text) is not None


def test_libraries_count_by_version_and_python_by_its_own(tmp_path: Path) -> None:
    walk = Walk(loaded=False)
    walk.add(
        str(tmp_path / "ops.py"), b"import json, yaml, jinja2.sandbox\nfrom symphony import operator", ""
    )
    assert sorted(walk.libraries) == ["jinja2", "yaml"]
    assert walk.libraries["yaml"].startswith("pyyaml ")
    assert list(walk.files) == [str(tmp_path / "ops.py")]
    assert not walk.absent


def test_text_that_is_no_python_imports_nothing() -> None:
    for text in (b"def f(:\n", b"\0", b"(" * 10_000, b"\xff"):
        assert imports_of(text, "").modules == frozenset()


def test_the_libraries_of_the_kit_are_those_that_are_asked_for() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [re.split(r"[>=<;]", one)[0] for one in asked] == list(REQUIREMENTS)


# ---- functions ----------------------------------------------------------------------------


def made_with(rate: object) -> Callable[..., object]:
    def gross(net: int) -> int:
        """With tax."""
        return net * rate  # type: ignore[operator,no-any-return]

    return gross


def test_what_a_function_took_from_the_one_that_made_it_counts() -> None:
    assert code_digest(made_with(1)) == code_digest(made_with(1)) != code_digest(made_with(2))
    assert code_digest(made_with(made_with(1))) != code_digest(made_with(made_with(2)))
    assert code_digest(made_with(object())) is None


def test_a_function_that_names_what_has_no_value_yet_has_no_digest() -> None:
    def use() -> object:
        return later

    assert code_digest(use) is None
    later = 1
    assert code_digest(use) is not None


def in_no_file(text: str) -> Callable[..., object]:
    scope: dict[str, Any] = {"__name__": "__main__"}
    InteractiveInterpreter(scope).runsource(text, "<nowhere>", "exec")
    found = scope["f"]
    assert callable(found)
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("def f(x: int) -> int: return x + A", "A", "2"),
        ("B = A\ndef f(x: int) -> int: return x + B", "A", "2"),
        ("def g(x): return x + A\ndef f(x: int) -> int: return g(x)", "A", "2"),
        ("def g(x): return f(x) + A\ndef f(x: int) -> int: return g(x)", "A", "2"),
        ("def f(x: int) -> int:\n    def h(): return B\n    return h()\nB = {'a': [A]}", "A", "2"),
        ("import A\ndef f(x: int) -> int: return A", "json", "re"),
    ],
)
def test_without_a_file_all_that_a_function_names_counts(text: str, old: str, new: str) -> None:
    values = ("1", new) if new == "2" else (old, new)
    digests = [code_digest(in_no_file(text.replace("A", value))) for value in values]
    assert None not in digests
    assert digests[0] != digests[1]
    assert digests[0] == code_digest(in_no_file(text.replace("A", values[0])))


def test_without_a_file_what_has_no_digest_makes_it_unknown() -> None:
    assert code_digest(in_no_file("B = object()\ndef f(x: int) -> int: return B")) is None
    assert code_digest(in_no_file("class B: pass\ndef f(x: int) -> int: return B()")) is None


def imported(module: str) -> Callable[..., object]:
    scope: dict[str, Any] = {}
    InteractiveInterpreter(scope).runsource(f"from {module} import f")
    found = scope["f"]
    assert callable(found)
    return found  # type: ignore[no-any-return]


def test_code_whose_file_has_changed_since_or_is_gone_counts_for_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process has loaded, and what its file holds when it is asked, may differ."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "rates_young.py"
    module.write_text("def f(x: int) -> int:\n    return x\n")
    young = imported("rates_young")
    before = code_digest(young)
    walk = Walk(loaded=True)
    walk.add(str(module), module.read_bytes(), "", remembered=True)
    assert before is not None
    assert walk.digest() not in (None, before), "another process has another digest"
    module.unlink()
    assert code_digest(young) == before
    (tmp_path / "rates_gone.py").write_text("def f(x: int) -> int:\n    return x\n")
    gone = imported("rates_gone")
    fingerprint(gone)
    (tmp_path / "rates_gone.py").unlink()
    assert code_digest(gone) is not None


def test_an_operator_of_the_kit_counts_with_everything_that_ships() -> None:
    from symphony.kit import operators

    assert len({one.code for one in operators().values()}) == 1
    assert operator("test.a", version="1.0.0", pure=True)(made_with(1)).code is not None


DECORATED = """
import functools, threading

def spell(schema, odd=None):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(x):
            return function(x), schema, odd
        return wrapper
    return decorate

@spell(A)
def f(x: int) -> int:
    return x
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@spell(A)", "@spell(2)"),
        ("return function(x), schema, odd", "return function(x), schema"),
        ("@spell(A)", "@spell({'a': [A]})"),
    ],
)
def test_decorators_count_with_what_they_were_given(old: str, new: str) -> None:
    """Seen in marimo (issue 8155) and Streamlit (issue 814)."""
    texts = (DECORATED, DECORATED.replace(old, new))
    digests = [code_digest(in_no_file(text.replace("A)", "1)").replace("[A]", "[1]"))) for text in texts]
    assert None not in digests
    assert digests[0] != digests[1]
    assert code_digest(in_no_file(DECORATED.replace("A)", "1, threading.Lock())"))) is None


def test_a_decorator_in_a_file_may_hold_what_has_no_digest(tmp_path: Path) -> None:
    text = DECORATED.replace("A)", "1, threading.Lock())") + (
        "\nfrom symphony import operator\nop = operator('test.a', version='1.0.0', pure=True)(f)\n"
    )
    codes = []
    for at, body in enumerate((text, text, text.replace("(1, thr", "(2, thr"))):
        (tmp_path / "ops.py").write_text(body)
        codes.append(load_operators(tmp_path / "ops.py")[0].code)
        assert codes[at] is not None
    assert codes[0] == codes[1] != codes[2]


def test_another_version_or_build_of_a_library_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why Dagster did not take a file's digest for a version (issue 3680)."""
    place = tmp_path / "site-packages"
    written(place, {"rates_lib/__init__.py": "", "other_lib.py": ""})
    monkeypatch.syspath_prepend(place)
    caches = (sources._infos, sources._versions, sources._named_inside, sources._roots, sources._record)
    seen = []
    for version, build in (("1.0", "one"), ("1.0", "two"), ("2.0", "two")):
        for name in ("rates_lib", "dist_of_other"):
            shutil.rmtree(place / f"{name}-1.0.dist-info", ignore_errors=True)
            info = f"{name}-{version}.dist-info"
            written(place, {f"{info}/top_level.txt": "other_lib\n", f"{info}/RECORD": f"x.py,{build},0\n"})
        for cached in caches:
            cached.cache_clear()
        seen += [source_digest("/ops.py", text) for text in (b"import rates_lib", b"import other_lib")]
    assert len(set(seen)) == 6
    for cached in caches:
        cached.cache_clear()


def test_a_change_within_the_second_of_the_first_import_is_run_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "rates_quick.py"
    module.write_text("def f(x=1): return x\n")
    os.utime(module, ns=(10**18, 10**18))
    compiled = Path(py_compile.compile(str(module), doraise=True))  # type: ignore[arg-type]
    os.utime(compiled, ns=(10**18 + 10**8, 10**18 + 10**8))
    before = source_digest(str(tmp_path / "ops.py"), b"import rates_quick")
    assert compiled.exists()
    module.write_text("def f(x=2): return x\n")
    os.utime(module, ns=(10**18 + 2 * 10**8, 10**18 + 2 * 10**8))
    assert source_digest(str(tmp_path / "ops.py"), b"import rates_quick") != before
    assert imported("rates_quick")() == 2
