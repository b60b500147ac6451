"""What a command line names: inputs, files of inputs, files of secrets, targets, places to begin."""

import io
import os
from pathlib import Path

import pytest

from symphony.cli.actions import checks, starting
from symphony.cli.arguments import envfile, typed_inputs
from symphony.cli.console import writing
from symphony.cli.console.failures import BadUsage, CommandRefused
from symphony.commons.errors import SymphonyError
from symphony.testing import FakeClock
from symphony.workflow.model import InputSpec, Workflow
from symphony.workflow.types import parse_type


def workflow(**types: str) -> Workflow:
    return Workflow(
        name="case", inputs={name: InputSpec(type=parse_type(text)) for name, text in types.items()}
    )


def test_inputs_are_split_at_the_first_equals_sign(tmp_path: Path) -> None:
    values = typed_inputs.given_inputs(
        workflow(name="string", n="integer"), ["name=a=b, c", "n=5"], [], cwd=tmp_path
    )
    assert values == {"name": "a=b, c", "n": 5}


def test_an_input_from_a_file_is_text_bytes_or_json_by_its_type(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("[1, 2]\n")
    (tmp_path / "raw").write_bytes(b"\xff\0")
    flow = workflow(text="string", raw="bytes", numbers="list[integer]", free="any")
    pairs = ["text=text", "raw=raw", "numbers=text", "free=text"]
    pairs = [f"{pair.split('=')[0]}={tmp_path / pair.split('=')[1]}" for pair in pairs]
    assert typed_inputs.given_inputs(flow, [], pairs, cwd=tmp_path) == {
        "text": "[1, 2]\n",
        "raw": b"\xff\0",
        "numbers": [1, 2],
        "free": "[1, 2]\n",
    }


def test_all_that_is_wrong_with_inputs_is_said_at_once(tmp_path: Path) -> None:
    flow = workflow(a="integer", b="string", c="string", d="string")
    (tmp_path / "raw").write_bytes(b"\xff")
    with pytest.raises(CommandRefused) as refused:
        typed_inputs.given_inputs(
            flow, ["a=many", "x=1"], [f"b={tmp_path}/gone", f"c={tmp_path}/raw", "a=again"], cwd=tmp_path
        )
    found = sorted((p.code, p.place) for p in refused.value.report.errors)
    assert found == [
        ("duplicate-name", "inputs.a"),
        ("missing-input", "inputs.b"),
        ("missing-input", "inputs.d"),
        ("type-mismatch", "inputs.a"),
        ("type-mismatch", "inputs.c"),
        ("unknown-port", "inputs.x"),
    ]


@pytest.mark.parametrize("text", ["name", "=value", ""])
def test_an_input_without_a_name_or_a_value_is_bad_usage(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadUsage):
        typed_inputs.given_inputs(workflow(name="string"), [text], [], cwd=tmp_path)


def test_a_file_of_an_input_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(CommandRefused) as refused:
        typed_inputs.given_inputs(
            workflow(a="string", b="string"), [], [f"a={tmp_path}/gone", f"b={tmp_path}"], cwd=tmp_path
        )
    gone, folder = refused.value.report.errors
    assert gone.message == f"input 'a': there is no file {tmp_path}/gone"
    assert gone.hint == "check the path; for the value itself: --input a=VALUE"
    assert folder.message == f"input 'b': cannot read {tmp_path}: Is a directory"


@pytest.mark.parametrize(
    ("typed", "words", "fix"),
    [
        (["text"], ["w.yaml", "=", "abc"], "write --input text=abc"),
        (["n=1", "text"], ["w.yaml", "=abc"], "write --input text=abc"),
        (["text"], ["=", "a b", "w.yaml"], "write --input 'text=a b'"),
        (["text"], ["w.yaml", "="], "write --input text=VALUE"),
    ],
)
def test_spaces_around_an_equals_sign_are_told(typed: list[str], words: list[str], fix: str) -> None:
    with pytest.raises(BadUsage, match="spaces around") as refused:
        typed_inputs.refuse_spaces(typed, [], words)
    assert refused.value.hint == fix
    typed_inputs.refuse_spaces(typed, [], ["w.yaml", "a=b"])


def test_an_env_file_is_read_literally(tmp_path: Path) -> None:
    text = "# secrets\n\nTOKEN = abc=def \nexport QUOTED=\" x $HOME \"\nEMPTY=\nÜ_IN_VALUE='ü'\n".replace(
        "Ü", "U"
    )
    assert envfile.parse_env(text, "f") == {
        "TOKEN": "abc=def",
        "QUOTED": " x $HOME ",
        "EMPTY": "",
        "U_IN_VALUE": "ü",
    }


@pytest.mark.parametrize(
    "text", ["secret-value", "1KEY=secret-value", "A=1\nA=secret-value", "A=secret-value\0"]
)
def test_a_bad_env_file_is_refused_by_line_without_quoting_its_content(text: str) -> None:
    with pytest.raises(envfile.EnvFileRefused, match=r"f, line \d") as refused:
        envfile.parse_env(text, "f")
    assert "secret-value" not in refused.value.message


@pytest.mark.parametrize(
    ("mode", "fine"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o620, False)]
)
def test_an_env_file_that_others_can_touch_is_refused(mode: int, fine: bool, tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    path.write_text("TOKEN=abc\n")
    path.chmod(mode)
    if fine:
        assert envfile.read_env_file(path) == {"TOKEN": "abc"}
    else:
        with pytest.raises(envfile.EnvFileRefused) as refused:
            envfile.read_env_file(path)
        assert refused.value.hint == f"chmod 600 {path}"


def test_an_env_file_must_be_a_regular_file_and_not_huge(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(envfile.EnvFileRefused, match="regular"):
        envfile.read_env_file(tmp_path / "pipe")
    large = tmp_path / "large"
    large.touch(0o600)
    os.truncate(large, 10 * 1024**3)
    with pytest.raises(envfile.EnvFileRefused, match="larger"):
        envfile.read_env_file(large)


def test_a_result_replaces_a_file_whole_and_follows_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    writing.deliver(b"new", link)
    assert real.read_bytes() == b"new"
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


def test_a_result_is_not_written_to_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="is a folder"):
        writing.deliver(b"x", tmp_path)


def test_a_device_is_written_to_not_replaced() -> None:
    writing.deliver(b"x", Path(os.devnull))
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("body", "binary"),
    [(b"text \xc3\xa9", False), (b"\0", True), (b"\xff\xfe", True), (b"cut \xc3", False), (b"", False)],
)
def test_text_is_told_from_binary(body: bytes, binary: bool) -> None:
    assert writing.is_binary(body) == binary


def test_binary_never_goes_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with pytest.raises(BadUsage, match="not text"):
        writing.deliver(b"\0\1", None, binary=None)  # type: ignore[arg-type]
    writing.deliver_stream(io.BytesIO("é\x1b[2J".encode()), None)
    assert terminal.getvalue() == "é\\x1b[2J"


def test_init_writes_a_workflow_a_home_and_a_gitignore_entry_once(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("dist")
    begun = starting.begin(tmp_path)
    assert [path.name for path in begun.written] == [".symphony", ".gitignore", "workflow.yaml"]
    assert (tmp_path / ".gitignore").read_text() == "dist\n.symphony/\n"
    assert (tmp_path / ".symphony").stat().st_mode & 0o777 == 0o700
    (tmp_path / "workflow.yaml").write_text("mine")
    with pytest.raises(BadUsage, match="exists already"):
        starting.begin(tmp_path)
    assert (tmp_path / "workflow.yaml").read_text() == "mine"
    (tmp_path / "workflow.yaml").unlink()
    assert [path.name for path in starting.begin(tmp_path).written] == ["workflow.yaml"]


def test_init_writes_nothing_where_something_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".symphony").write_text("")
    with pytest.raises(BadUsage):
        starting.begin(tmp_path)
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "workflow.yaml").symlink_to("nowhere")
    with pytest.raises(BadUsage):
        starting.begin(tmp_path / "dangling")
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".symphony", "dangling", "workflow.yaml"]


def verdicts(found: list[checks.Check]) -> dict[str, str]:
    return {check.name: check.verdict for check in found}


def test_doctor_finds_a_home_that_is_not_there_yet_healthy(tmp_path: Path) -> None:
    found = verdicts(checks.examine(tmp_path / "a" / "home", FakeClock(1_800_000_000.0)))
    assert found["home"] == found["python"] == found["sqlite"] == found["clock"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_doctor_without_a_home_says_why_and_looks_at_the_rest() -> None:
    why = SymphonyError("no home", hint="make one")
    found = checks.examine(None, FakeClock(1_800_000_000.0), homeless=why)
    assert [(c.found, c.fix) for c in found if c.name == "home"] == [("no home", "make one")]
    assert "git" in verdicts(found)


def test_doctor_judges_versions_disks_clocks_and_file_systems() -> None:
    assert checks.check_python((3, 10, 9)).verdict == "failed"
    assert checks.check_sqlite((3, 34, 1)).verdict == "failed"
    assert [checks.check_disk(Path("/"), n).verdict for n in (10, 2**29, 2**40)] == [
        "failed",
        "warning",
        "ok",
    ]
    assert checks.check_clock(0.0, 0.0).verdict == "failed"
    assert checks.check_clock(1_800_000_000.0, 1_800_000_500.0).verdict == "warning"


def test_doctor_refuses_a_home_on_a_network_share(tmp_path: Path) -> None:
    place = tmp_path.resolve()
    here = [("/", "ext4"), (str(place), "nfs4")]
    assert checks.check_file_system(place / "home", here).verdict == "failed"
    assert checks.check_file_system(place.parent, here).verdict == "ok"
    assert checks.check_file_system(place / "home", []).verdict == "ok"


def test_every_check_that_is_not_ok_has_a_fix(tmp_path: Path) -> None:
    found = checks.examine(tmp_path, FakeClock(0.0))
    assert all(check.fix for check in found if check.verdict != "ok")
