"""Results of tests: what did not run did not pass, and no document type is taken."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from symphony.kit.errors import InputRefused
from symphony.kit.junit import read

DOCTYPE = "<!DOCTYPE s [<!ENTITY a 'expanded'><!ENTITY b '&a;&a;'>]>"
SUITE = '<testsuite name="s"><testcase name="t"/></testsuite>'


def results(case: str) -> tuple[list[str], dict[str, Any]]:
    context: Any = SimpleNamespace(cwd=Path())
    found: dict[str, Any] = dict(
        read(context, text=f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    )
    return [one["status"] for one in found["tests"]], found


def test_a_disabled_test_counts_as_skipped(fault: Any) -> None:
    case = fault("junit-disabled-passed")
    context: Any = SimpleNamespace(cwd=case.folder)
    found = read(context, path=Path("gtest.xml"))
    assert (found["passed"], found["failed"], found["skipped"]) == (1, 1, 1)
    assert [one["status"] for one in found["tests"]] == ["passed", "skipped", "failed"]


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ('status="notrun"', "skipped"),
        ('status="NotRun"', "skipped"),
        ('status="not_run"', "skipped"),
        ('status="disabled"', "skipped"),
        ('status="run" result="suppressed"', "skipped"),
        ('status="run" result="skipped"', "skipped"),
        ('status="ignored"', "skipped"),
        ('status="run" result="completed"', "passed"),
        ('status="run"', "passed"),
        ('status="passed"', "passed"),
        ('status="0"', "passed"),
        ('status="fail"', "failed"),
        ('status="failed"', "failed"),
        ('status="error"', "error"),
        ("", "passed"),
    ],
)
def test_attributes_say_what_children_do_not(attributes: str, status: str) -> None:
    assert results(f'<testcase name="a" {attributes}/>')[0] == [status]


def test_a_child_counts_more_than_an_attribute() -> None:
    assert results('<testcase name="a" status="notrun"><failure message="m"/></testcase>')[0] == ["failed"]
    assert results('<testcase name="a" status="run"><skipped message="m"/></testcase>')[0] == ["skipped"]
    assert results('<testcase name="a" status="fail"><error>e</error></testcase>')[0] == ["error"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1", "ascii"]
)
@pytest.mark.parametrize("before", ["", f"<!--{'x' * 70_000}-->", "<?p x?>\n \n"])
def test_a_document_type_is_refused_in_every_encoding_and_position(
    encoding: str, before: str, fault: Any
) -> None:
    case = fault("junit-utf16-doctype")
    context: Any = SimpleNamespace(cwd=case.folder)
    with pytest.raises(InputRefused, match="document type"):
        read(context, path=Path("t.xml"))
    name = {"utf-8-sig": "utf-8", "latin-1": "iso-8859-1"}.get(encoding, encoding.replace("16-", "16"))
    head = f'<?xml version="1.0" encoding="{name}"?>'
    for kind in (DOCTYPE, '<!DOCTYPE s SYSTEM "x.dtd">', "<!DOCTYPE testsuite>"):
        body = f"{head}{before}{kind}{SUITE}".encode(encoding)
        (case.folder / "u.xml").write_bytes(body)
        with pytest.raises(InputRefused, match=r"document type|is not XML"):
            read(context, path=Path("u.xml"))
    (case.folder / "u.xml").write_bytes(f"{head}{before}{SUITE}".encode(encoding))
    assert read(context, path=Path("u.xml"))["passed"] == 1


def test_the_words_of_a_document_type_may_stand_in_a_message() -> None:
    case = '<testcase name="a"><failure><![CDATA[<!DOCTYPE html> <!ENTITY x "y">]]></failure></testcase>'
    statuses, found = results(case)
    assert statuses == ["failed"]
    assert found["tests"][0]["message"] == '<!DOCTYPE html> <!ENTITY x "y">'


def test_a_text_is_read_as_it_is_whatever_encoding_it_once_had() -> None:
    context: Any = SimpleNamespace(cwd=Path())
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><testsuite><testcase name="Zoë ✓"/></testsuite>'
    assert read(context, text=text)["tests"][0]["name"] == "Zoë ✓"
    for wrong in (
        "<testsuite>",
        "<testsuite>\ud800</testsuite>",
        '<?xml version="1.0" encoding="nope"?><a/>',
    ):
        with pytest.raises(InputRefused):
            read(context, text=wrong)
