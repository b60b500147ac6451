"""The kit as a whole: what it offers, how it describes itself, what it loads."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

from symphony import kit
from symphony.kit import catalog, models, operators
from symphony.kit.homes import KitOperators
from symphony.sdk import Operator
from symphony.workflow.builtin import builtin_catalog

PROMISED = {
    "code.symbols", "command", "csv.format", "csv.read", "csv.write", "data.filter", "data.flatten",
    "data.group", "data.join", "data.map", "data.reduce", "data.sort", "data.table", "data.unique",
    "debug.fail", "debug.flaky", "debug.sleep", "debug.value", "fs.glob",
    "fs.read", "fs.write", "git.changed_files", "git.churn", "git.diff", "git.log", "json.parse",
    "json.query", "python.call", "python.run", "text.join", "text.regex", "text.render", "text.split",
    "vector.near_duplicates", "vector.search",
}  # fmt: skip


def test_the_kit_offers_what_is_promised_by_name() -> None:
    assert set(operators()) >= PROMISED
    assert list(operators()) == sorted(operators())
    assert all(name == one.info.name for name, one in operators().items())
    assert list(models()) == ["minilm", "smollm2"]


@pytest.mark.parametrize("name", list(operators()))
def test_every_operator_and_every_port_is_described(name: str) -> None:
    info = operators()[name].info
    assert info.summary.endswith(".")
    assert [port for port, spec in info.inputs.items() if not spec.description] == []
    outputs = [port for port, spec in info.outputs.items() if not spec.description]
    assert outputs in ([], ["result"])
    for word in (*info.inputs, *info.outputs):
        assert f"\n{word}: " not in info.help, "a description was not recognised"


def test_effects_are_what_the_operators_do() -> None:
    writes = {name for name, one in operators().items() if one.info.effect == "write"}
    reads = {name for name, one in operators().items() if one.info.effect == "read"}
    assert writes == {"command", "csv.write", "files.convert", "fs.write", "http.request", "python.run"}
    assert {name for name in writes if operators()[name].info.idempotent} == {
        "csv.write", "files.convert", "fs.write"
    }  # fmt: skip
    assert reads == {
        "debug.flaky", "debug.sleep", "docs.check", "fs.glob", "git.changed_files", "git.churn", "git.diff",
        "git.log", "git.tags", "http.get", "python.call", "text.render",
    }  # fmt: skip
    assert {name for name in reads if operators()[name].reads is None} == {
        "debug.flaky", "debug.sleep", "docs.check", "fs.glob", "http.get",
    }  # fmt: skip


def test_the_shipped_catalogue_is_that_of_the_kit() -> None:
    assert builtin_catalog() == catalog(), "run: python -m symphony.kit.catalog_data --write"


def test_every_operator_is_found_where_it_is_said_to_be() -> None:
    modules = [import_module(f"symphony.kit.{one.name}") for one in pkgutil.iter_modules(kit.__path__)]
    defined = {
        one.info.name: one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, Operator) and one.function.__module__ == module.__name__
    }
    assert dict(operators()) == defined


def test_operators_that_are_given_replace_those_of_the_kit() -> None:
    own, other = operators()["text.join"], operators()["text.split"]
    found = KitOperators({"text.split": own, "mine": other})
    assert (found["text.split"], found["mine"], found["text.join"]) == (own, other, own)
    assert list(found) == [*operators(), "mine"]
    assert len(found) == len(operators()) + 1
    assert "mine" in found
    assert "nobody" not in found
    with pytest.raises(KeyError, match="nobody"):
        found["nobody"]


@pytest.mark.slow
def test_the_kit_loads_no_heavy_library_until_it_is_used() -> None:
    heavy = ["numpy", "jinja2", "jmespath", "regex", "cel_expr_python", "onnxruntime", "pydantic", "rich"]
    show = f"print([m for m in {heavy} if m in sys.modules])"
    source = f"import sys\nfrom symphony.kit import catalog\ncatalog()\n{show}"
    done = subprocess.run((sys.executable, "-c", source), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
