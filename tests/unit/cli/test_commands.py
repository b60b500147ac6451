"""The commands as a whole: help, bad usage, completion scripts, the reference."""

import json
import subprocess
import sys

import click
import pytest

from symphony.cli import lazy
from symphony.cli.commands import convert
from symphony.cli.console import exits
from symphony.cli.main import main
from symphony.cli.reference import reference
from symphony.workflow.documents import formats


@pytest.mark.parametrize("name", list(lazy.COMMANDS))
def test_the_one_line_of_help_is_the_modules_own(name: str) -> None:
    command = lazy.load(name)
    assert command.name == name
    assert (command.help or "").splitlines()[0] == lazy.COMMANDS[name]


def test_the_formats_are_those_of_workflows() -> None:
    assert tuple(formats.FORMATS) == convert.FORMATS


def commands(group: click.Group) -> list[click.Command]:
    found: list[click.Command] = []
    for command in group.commands.values():
        found += commands(command) if isinstance(command, click.Group) else [command]
    return found


@pytest.mark.parametrize("name", list(lazy.COMMANDS))
def test_every_command_that_reads_speaks_json(name: str) -> None:
    # The output of these is a file, or a word; `serve` has none.
    silent = {
        "convert", "fmt", "schema", "completion", "delete", "clear", "add", "pull", "remove",
        "serve",
    }  # fmt: skip
    command = lazy.load(name)
    for each in commands(command) if isinstance(command, click.Group) else [command]:
        options = {opt for param in each.params for opt in param.opts}
        telling = each.name == "convert" and each is not command  # `artifacts key convert` tells what it did
        assert ("--json" in options) == (telling or each.name not in silent), each.name


@pytest.mark.parametrize(
    "words", [["nope"], ["convert"], ["run", "--nope", "x"], ["graph", "f", "--format", "png"]]
)
def test_bad_usage_is_a_block_with_a_hint_and_ends_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error[bad-usage]: ")
    assert "--help`" in err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["rusn"], "`symphony run` or `symphony runs`"), (["valdiate"], "`symphony validate`"),
        (["resume", "last"], "`symphony runs resume`"), (["logs"], "`symphony runs logs`"),
        (["runs", "shw"], "`symphony runs show`"), (["models", "tset"], "`symphony models test`"),
    ],
)  # fmt: skip
def test_a_command_that_is_not_there_gets_what_it_may_have_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert err.startswith("error[bad-usage]: There is no command")
    assert f"Did you mean {meant}?" in err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["models", "pull", "minlm"], "minilm"), (["models", "show", "minlm"], "minilm"),
        (["models", "test", "minlm"], "minilm"), (["operators", "show", "text.splt"], "text.split"),
        (["template", "show", "csvprofile"], "csv-profile"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_there_gets_what_it_may_have_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) in (1, 2)
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_a_command_that_is_like_no_other_gets_no_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["qqq"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["run"], ["runs"], ["runs", "show"]])
def test_h_is_help_everywhere(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    reference()  # which looks at every command, too
    assert main([*words, "--help"]) == 0
    told = capsys.readouterr().out
    assert main([*words, "-h"]) == 0
    assert capsys.readouterr().out == told
    assert "-h, --help" in told


@pytest.mark.parametrize("name", list(lazy.COMMANDS))
def test_no_line_of_help_is_cut(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = lazy.load(name)
    assert main([name, "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "..." not in told.replace("]...", "").replace("RUN...", "").replace("FILE...", "")
    for inside in command.commands.values() if isinstance(command, click.Group) else ():
        assert " ".join((inside.help or "").strip().splitlines()[0].split()) in told


def test_bad_usage_with_json_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--json", "--nope"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["warnings"] == []
    assert document["errors"][0]["code"] == "bad-usage"


def test_an_unexpected_error_is_short_and_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: str) -> click.Command:
        raise ZeroDivisionError("bug \x1b[2J")

    monkeypatch.setattr(lazy, "load", broken)
    assert main(["run", "x"]) == 70
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "--debug" in err
    assert "Traceback" not in err
    assert "\x1b" not in err
    assert main(["run", "x", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("making_a_class", [False, True])
def test_ctrl_c_before_a_run_began_ends_with_130(
    making_a_class: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Field:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def interrupted(_: str) -> click.Command:
        if making_a_class:
            type("Plan", (), {"plain": Field()})  # before Python 3.12 this raises a RuntimeError
        raise KeyboardInterrupt

    monkeypatch.setattr(lazy, "load", interrupted)
    assert main(["run", "x"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_version_and_help_need_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("symphony ")
    assert main(["--help"]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_SYMPHONY_COMPLETE" in capsys.readouterr().out


def test_completions_that_cannot_be_found_are_none_and_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_SYMPHONY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "symphony run nowhere.yaml --input ")
    monkeypatch.setenv("COMP_CWORD", "4")
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert (out.strip(), err) == ("", "")


def test_the_reference_names_every_command_and_option() -> None:
    text = reference()
    for name in lazy.COMMANDS:
        assert f"\n## `symphony {name}`\n" in text
    assert "\n### `symphony runs resume`\n" in text
    assert "`--input, -i KEY=VALUE`" in text


@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from symphony.cli.main import main; main(['--help']); main(['run', '--help']); "
        "heavy = {'rich', 'asyncio', 'msgspec', 'pydantic', 'json', 'numpy'} & set(sys.modules); "
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_standard_streams_that_are_closed_are_not_given_to_other_files() -> None:
    code = (
        "import os, sys; [os.close(n) for n in (0, 1, 2)]; sys.stdout = sys.stderr = None; "
        "from symphony.cli.main import main; status = main(['--help']) + main(['nope']) - 2; "
        "os._exit(status + (os.open(os.devnull, os.O_RDONLY) < 3))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_help_names_every_exit_status_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = capsys.readouterr().out.replace(",", " ").replace(":", " ").replace(";", " ").split()
    assert {str(status) for status in exits.MEANINGS if status != exits.BROKEN_PIPE} <= {*words}
