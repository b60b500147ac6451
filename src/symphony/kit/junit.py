"""Results of tests: `junit.read`."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from symphony.commons.cutting import beginning
from symphony.commons.filesystem import read_bounded
from symphony.kit.errors import InputRefused
from symphony.sdk import Context, operator

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XML_BYTES_MAX: Final = 64 * 1024 * 1024
_MESSAGE_CHARS: Final = 2_000


class TestResult(TypedDict):
    """One test. `id` is class and name; `status` is passed, failed, error or skipped."""

    id: str
    suite: str
    classname: str
    name: str
    status: str
    seconds: float
    message: str
    label: str


class TestResults(TypedDict):
    """What `junit.read` returns."""

    tests: list[TestResult]
    passed: int
    failed: int
    skipped: int
    found: bool


@operator("junit.read", version="1.0.0", pure=True)
def read(
    context: Context,
    path: Path | None = None,
    text: str | None = None,
    label: str = "",
    on_missing: Literal["fail", "empty"] = "fail",
) -> TestResults:
    """Read results of tests in the XML that most test programs write (JUnit's).

    Several results of one test in one file stay several. Tests that are marked disabled or not run count
    as skipped. Definitions of a document type are refused, in whatever encoding.

    path: the file; give this or `text`
    text: the XML itself
    label: a text that is put into every result, such as the number of a run
    on_missing: what to do where there is no file, or nothing in it: fail, or give no tests
    tests: maps of id, suite, classname, name, status (passed, failed, error, skipped), seconds, message
        and label
    passed: how many passed
    failed: how many failed or ended in an error
    skipped: how many were skipped
    found: whether there was anything
    """
    if (path is None) == (text is None):
        raise InputRefused("junit.read takes either path or text", hint="give one of the two inputs")
    name = "input text" if path is None else str(path)
    if path is not None and on_missing == "empty" and not (context.cwd / path).exists():
        body = b""
    else:
        written = (text or "").encode("utf-8", "surrogatepass")
        body = written if path is None else read_bounded(context.cwd / path, XML_BYTES_MAX)
    encoding = "utf-8" if path is None else None  # what a text declares is what it once was
    if not body.strip() and on_missing == "empty":
        return TestResults(tests=[], passed=0, failed=0, skipped=0, found=False)
    tests = [_result(suite, case, label) for suite, case in _cases(_parsed(body, name, encoding), "")]
    counts = [test["status"] for test in tests]
    return TestResults(
        tests=tests, passed=counts.count("passed"), failed=counts.count("failed") + counts.count("error"),
        skipped=counts.count("skipped"), found=True,
    )  # fmt: skip


def _parsed(body: bytes, name: str, encoding: str | None) -> "Element":
    """Return the root of the XML in `body`; `encoding` counts in place of the one that it declares."""
    from xml.etree.ElementTree import TreeBuilder
    from xml.parsers import expat

    def refuse(*_: object) -> None:
        raise InputRefused(f"{name} defines a document type", hint="results of tests need none")

    builder = TreeBuilder()
    parser = expat.ParserCreate(encoding, namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse  # the only place where entities can be defined
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise _not_xml(f"{name}:{error.lineno}:{error.offset + 1}", expat.ErrorString(error.code)) from error
    except (ValueError, LookupError) as error:  # an encoding that it declares
        raise _not_xml(name, str(error)) from error
    root = builder.close()
    if root.tag.rpartition("}")[2] not in ("testsuites", "testsuite"):
        raise InputRefused(
            f"{name} holds {beginning(root.tag, 40)}, not testsuites", hint="give results of tests"
        )
    return root


def _not_xml(where: str, reason: str) -> InputRefused:
    return InputRefused(
        f"{where} is not XML: {reason}",
        hint="give the file that the test program writes, for instance by pytest --junitxml=FILE",
    )


def _cases(root: "Element", suite: str) -> "list[tuple[str, Element]]":
    """Return all test cases with the name of their innermost suite, without recursion."""
    found: list[tuple[str, Element]] = []
    waiting = [(root, suite)]
    while waiting:
        element, name = waiting.pop()
        name = element.get("name", name) if element.tag.rpartition("}")[2] == "testsuite" else name
        inner: list[tuple[Element, str]] = []
        for child in element:
            kind = child.tag.rpartition("}")[2]
            if kind == "testcase":
                found.append((name, child))
            elif kind == "testsuite":
                inner.append((child, name))
        waiting += reversed(inner)
    return found


_SAID: Final = {
    **dict.fromkeys(("disabled", "ignored", "inactive", "notexecuted", "notrun", "pending"), "skipped"),
    **dict.fromkeys(("skip", "skipped", "suppressed"), "skipped"),
    **dict.fromkeys(("fail", "failed", "failure"), "failed"),
    **dict.fromkeys(("err", "error", "errored"), "error"),
}
"""What the attributes `status` and `result` say of a test, in the words of GoogleTest, CTest and others."""


def _said(case: "Element") -> str:
    """Return the status that the attributes of a test give; passed if they give none."""
    for attribute in ("status", "result"):
        word = "".join(c for c in case.get(attribute, "").lower() if c.isalpha())
        if word in _SAID:
            return _SAID[word]
    return "passed"


def _result(suite: str, case: "Element", label: str) -> TestResult:
    status, message = "passed", ""
    for child in case:
        kind = child.tag.rpartition("}")[2]
        if kind in ("failure", "error", "skipped") and status == "passed":
            status = {"failure": "failed"}.get(kind, kind)
            message = child.get("message") or (child.text or "").strip()
    status = _said(case) if status == "passed" else status
    classname, name = case.get("classname", ""), case.get("name", "")
    try:
        seconds = float(case.get("time", "0").replace(",", ""))
    except ValueError:
        seconds = 0.0
    return TestResult(
        id=f"{classname}::{name}" if classname else name, suite=suite, classname=classname, name=name,
        status=status, seconds=seconds if 0 <= seconds < 1e9 else 0.0, message=message[:_MESSAGE_CHARS],
        label=label,
    )  # fmt: skip
