"""Where another process finds an operator again."""

from pathlib import Path

import msgspec
import pytest

from symphony import kit
from symphony.ipc.operator_calls import FileOrigin, ModuleOrigin
from symphony.sdk import OperatorInvalid, OperatorsNotLoaded, load_operators, operator
from symphony.sdk.origins import load_origin, origin_of, source_of

SOURCE = """\
from symphony import operator

@operator("o.one", version="1.0.0", cpu=True)
def one() -> int:
    return 1

def make():
    @operator("o.made", version="1.0.0")
    def made() -> int:
        return 2
    return made
"""


def test_an_operator_of_an_installed_module_is_found_by_name() -> None:
    (one,) = (found for name, found in kit.operators().items() if name == "text.split")
    origin = origin_of(one)
    assert origin == ModuleOrigin("symphony.kit.text")
    assert load_origin(origin, None)["text.split"] is one


def test_an_operator_of_a_file_is_found_as_it_was_even_if_the_file_changed(tmp_path: Path) -> None:
    file = tmp_path / "ops.py"
    file.write_text(SOURCE)
    (one,) = load_operators(file)
    file.write_text("broken(")
    origin = origin_of(one)
    assert isinstance(origin, FileOrigin)
    assert origin.file == str(file)
    assert load_origin(origin, source_of(origin))["o.one"].function() == 1


def test_who_cannot_be_found_again_has_no_origin(tmp_path: Path) -> None:
    @operator("o.local", version="1.0.0")
    def local() -> int:
        return 1

    file = tmp_path / "ops.py"
    file.write_text(SOURCE)
    (one,) = load_operators(file)
    made = one.function.__globals__["make"]()
    assert [origin_of(local), origin_of(made), origin_of(msgspec.structs.replace(one))] == [None, None, None]


def test_a_module_that_cannot_be_imported_is_an_error_with_its_name() -> None:
    with pytest.raises(OperatorsNotLoaded, match=r"no\.such\.module"):
        load_origin(ModuleOrigin("no.such.module"), None)


def test_only_a_sync_function_computes_in_a_process() -> None:
    with pytest.raises(OperatorInvalid, match="only a sync function"):

        @operator("o.async", version="1.0.0", cpu=True)
        async def wrong() -> int:
            return 1
