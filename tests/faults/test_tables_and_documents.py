"""Tables and documents: what is read has the value that was written, or is refused as a bad input."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from tests.support.waiting import PATIENCE_S

Take: TypeAlias = Callable[[str], Any]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("file", "inputs", "columns"),
    [
        ("head.csv", (), ["Preis, EUR", "Gewicht, kg"]),
        ("bare.csv", ("--input", "header=false"), ["c1", "c2"]),
    ],
)
def test_csv_decimal_comma_sniffed_is_cut_at_the_semicolon(
    fault: Take, file: str, inputs: tuple[str, ...], columns: list[str]
) -> None:
    outputs = fault("csv-decimal-comma-sniffed").run("flow.yaml", "--input", f"file={file}", *inputs)[
        "outputs"
    ]
    assert (outputs["delimiter"], outputs["columns"]) == (";", columns)
    assert list(outputs["first"].values()) == ["1,5", "2,5"]


def test_csv_inference_loses_digits_no_more(fault: Take) -> None:
    case = fault("csv-inference-loses-digits")
    outputs = case.run("flow.yaml")["outputs"]
    assert outputs["text"] == (case.folder / "ids.csv").read_text()
    assert outputs["rows"][0]["id"] == "12345678901234567890"
    assert outputs["rows"][0]["phone"] == "+491701234567"


def test_csv_lone_cr_at_64k_is_a_line_end(fault: Take) -> None:
    case = fault("csv-lone-cr-at-64k")
    subprocess.run([sys.executable, "make.py"], cwd=case.folder, check=True)
    outputs = case.run("flow.yaml", "--input", "file=mac.csv")["outputs"]
    assert (outputs["n"], outputs["first"]) == (16_385, {"a": "1", "b": "2"})


def test_json_deep_is_a_bad_input(fault: Take) -> None:
    result = fault("json-deep").run("w.yaml")
    assert {name: result["nodes"][name]["error"]["code"] for name in ("p", "r")} == dict.fromkeys(
        "pr", "bad-input"
    )
    assert "nested" in result["outputs"]["c"]


def test_jmespath_step_zero_is_a_bad_input(fault: Take) -> None:
    error = fault("jmespath-step-zero").run("flow.yaml")["error"]
    assert error["code"] == "bad-input"
    assert "step" in error["message"]


def test_template_seconds_not_held_are_held_now_and_so_is_memory(fault: Take) -> None:
    case = fault("template-seconds-not-held")
    busy = case.run("flow.yaml", timeout_s=PATIENCE_S)
    assert busy["error"]["code"] == "timeout"
    assert busy["nodes"]["out"]["duration_ms"] < 20_000  # it went on for ever
    assert case.run("allocation.yaml")["error"]["code"] == "limit-exceeded"
