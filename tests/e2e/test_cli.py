"""The commands on real workflows, each as a process of its own, with a home of its own."""

import json
import shlex
import signal
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.support.commands import SYMPHONY, CommandLine
from tests.support.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.slow

GREETING = """\
symphony: 1
name: Greeting
inputs:
  who: {type: string, default: world}
  times: {type: integer, default: 1, min: 1, max: 3}
nodes:
  hello:
    command: printf 'Hello, %s!' "$WHO"; echo noise >&2
    inputs: {who: "${{ inputs.who }}"}
  note:
    operator: text.join
    inputs: {parts: ["${{ hello.stdout }}", "é"], separator: "\\n"}
    artifact: {name: note, content_type: text/plain}
outputs: {hello: "${{ hello.stdout }}", note: "${{ note.result }}", times: "${{ inputs.times }}"}
"""


def newest(desk: CommandLine) -> str:
    """The newest run."""
    return str(desk.json("runs", "list")[0]["run_id"])


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path, PYTHONWARNINGS="error")
    made.write("greeting.yaml", GREETING)
    return made


def test_a_run_prints_outputs_on_stdout_and_everything_else_on_stderr(desk: CommandLine) -> None:
    out, err = desk.type("run", "greeting.yaml", "--input", "who=you")
    lines = out.splitlines()
    assert lines[0] == "hello = Hello, you!"
    path = Path(lines[1].removeprefix("note = ").split("  (")[0])
    assert path.read_text() == "Hello, you!\né"
    assert lines[2] == "times = 1"
    assert err.splitlines()[-1].startswith("succeeded in ")


def test_what_ran_can_be_listed_shown_followed_and_read(desk: CommandLine) -> None:
    result = desk.json("run", "greeting.yaml")
    run_id = newest(desk)
    shown = desk.json("runs", "show", run_id[:13])
    assert {key: shown[key] for key in result} == result
    assert "hello" in desk.type("runs", "show", run_id)[0]
    assert "Greeting" in desk.type("runs", "list")[0]
    events = [
        json.loads(line) for line in desk.type("runs", "events", run_id, "--follow", "--json")[0].splitlines()
    ]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "run.finished"
    assert "noise" in desk.type("runs", "logs", run_id, "hello")[0]
    assert "hello | noise" in desk.type("runs", "logs", run_id)[0]
    desk.type("runs", "delete", run_id)
    assert desk.json("runs", "list") == []
    assert "run-not-found" in desk.type("runs", "show", run_id, status=2)[1]


def test_artifacts_come_back_byte_by_byte(desk: CommandLine) -> None:
    body = bytes(range(256)) * 1_000
    (desk.folder / "body.bin").write_bytes(body)
    digest = desk.type("artifacts", "put", "body.bin", "--name", "thing")[0].strip()
    process = desk.start("artifacts", "get", digest[:12], text=False)
    assert process.communicate(timeout=PATIENCE_S)[0] == body
    desk.type("artifacts", "get", "thing", "--output", "copy.bin")
    assert (desk.folder / "copy.bin").read_bytes() == body
    listed = desk.json("artifacts", "list")
    assert isinstance(listed, list)
    assert (listed[0]["digest"], listed[0]["size"]) == (digest, len(body))
    assert digest in desk.type("artifacts", "show", "thing")[0]
    desk.type("artifacts", "get", "nothing-of-that-name", status=2)


def test_bad_inputs_are_all_refused_at_once_and_nothing_runs(desk: CommandLine) -> None:
    words = ("run", "greeting.yaml", "--input", "times=9", "--input", "whoo=x")
    document = desk.json(*words, status=2)
    assert isinstance(document, dict)
    assert sorted(problem["code"] for problem in document["errors"]) == ["type-mismatch", "unknown-port"]
    assert "did you mean who?" in desk.type(*words, status=2)[1]
    assert desk.json("runs", "list") == []


def test_an_invalid_workflow_shows_the_line_with_a_caret(desk: CommandLine) -> None:
    desk.write("bad.yaml", "symphony: 1\nname: bad\nnodes:\n  a: {operator: no.such_thing}\n")
    out, _ = desk.type("validate", "bad.yaml", status=2)
    lines = out.splitlines()
    assert lines[0].startswith("error[unknown-operator]: ")
    assert lines[1].strip().startswith("--> bad.yaml:4:")
    assert "a: {operator: no.such_thing}" in lines[2]
    assert lines[3].endswith("^")
    assert "unknown-operator" in desk.type("run", "bad.yaml", status=2)[1]
    document = desk.json("run", "bad.yaml", status=2)
    assert isinstance(document, dict)
    assert document["errors"][0]["line"] == 4


@pytest.mark.parametrize("words", [["run"], ["validate"], ["graph"], ["convert", "--to", "json"]])
def test_a_file_that_is_not_there_is_bad_usage(desk: CommandLine, words: list[str]) -> None:
    _, err = desk.type(*words, "nowhere.yaml", status=2)
    assert err.startswith("error[")
    assert "nowhere.yaml" in err


def test_a_dry_run_shows_the_plan_and_runs_nothing(desk: CommandLine) -> None:
    plan = desk.json("run", "greeting.yaml", "--dry-run", "--input", "times=2")
    assert isinstance(plan, dict)
    assert plan["levels"] == [["hello"], ["note"]]
    assert plan["inputs"] == {"who": "world", "times": 2}
    assert "nothing was run" in desk.type("run", "greeting.yaml", "--dry-run")[0]
    assert desk.json("runs", "list") == []


def test_a_dry_run_of_a_rerun_shows_what_it_would_reuse_and_runs_nothing(desk: CommandLine) -> None:
    desk.type("run", "greeting.yaml")
    text, _ = desk.type("runs", "rerun", "--from", "note", "--dry-run")
    assert "rerun of" in text
    assert "nothing was run" in text
    listed = desk.json("runs", "list")
    assert isinstance(listed, list)
    assert len(listed) == 1


def test_a_workflow_is_drawn_and_converted(desk: CommandLine) -> None:
    assert "hello" in desk.type("graph", "greeting.yaml")[0]
    assert desk.type("graph", "greeting.yaml", "--format", "mermaid")[0].startswith("---\ntitle:")
    desk.type("graph", "greeting.yaml", "--format", "svg", "--output", "graph.svg")
    ET.parse(desk.folder / "graph.svg")
    desk.type("convert", "greeting.yaml", "--to", "json", "--output", "greeting.json")
    again = desk.type("convert", "greeting.json", "--from", "json", "--to", "yaml")[0]
    desk.write("again.yaml", again)
    assert desk.json("validate", "again.yaml") == {"errors": [], "warnings": []}


def test_a_reader_that_leaves_and_a_disk_that_is_full_are_no_tracebacks(desk: CommandLine) -> None:
    desk.type("run", "greeting.yaml")
    run_id = newest(desk)
    with desk.start("runs", "events", run_id, text=False) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) == 141
    for words in (["runs", "show", run_id], ["runs", "show", run_id, "--json"], ["run", "greeting.yaml"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*SYMPHONY, *words],
                cwd=desk.folder, env=desk.environment(),
                stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S,
            )  # fmt: skip
        assert done.returncode == 1
        assert b"cannot write to stdout: No space left" in done.stderr
        assert b"symphony runs show" in done.stderr
        assert b"Traceback" not in done.stderr


def test_a_current_folder_that_was_deleted_is_told(desk: CommandLine) -> None:
    file = desk.write("words.yaml", "name: Words\nnodes: {a: {command: pwd}}\n")
    words = shlex.join([*SYMPHONY, "run", str(file)])
    done = subprocess.run(
        ["/bin/sh", "-c", f"mkdir gone && cd gone && rmdir ../gone && {words}"],
        cwd=desk.folder, env=desk.environment(), capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the current folder is not there any more" in done.stderr
    assert "hint: cd to a folder that exists" in done.stderr


INTERRUPTIBLE = """\
symphony: 1
name: interruptible
nodes:
  first: {command: echo once >> counted}
  second:
    command: "echo begun >> begun; touch started; while [ ! -e go ]; do sleep 0.1; done; touch finished"
    after: [first]
"""


def test_ctrl_c_leaves_a_run_to_be_resumed_and_another_process_cancels(desk: CommandLine) -> None:
    desk.write("wf.yaml", INTERRUPTIBLE)
    process = desk.start("run", "wf.yaml")
    wait_for(desk.folder / "started", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "stopped; go on with: symphony runs resume interruptible-1 --retry second (or --skip second" in err
    assert not (desk.folder / "finished").exists()
    shown = desk.json("runs", "show", newest(desk))
    assert isinstance(shown, dict)
    assert shown["status"] == "interrupted"
    assert (shown["nodes"]["second"]["status"], shown["nodes"]["second"]["finished_at"]) == ("running", None)

    (desk.folder / "started").unlink()
    process = desk.start("runs", "resume", "--retry", "second")
    wait_for(desk.folder / "started", process)
    desk.type("runs", "cancel", newest(desk))
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert (desk.folder / "counted").read_text() == "once\n"


def test_a_killed_run_is_interrupted_and_resumes_without_repeating(desk: CommandLine) -> None:
    desk.write("wf.yaml", INTERRUPTIBLE)
    process = desk.start("run", "wf.yaml")
    wait_for(desk.folder / "started", process)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    (desk.folder / "go").touch()
    wait_for(desk.folder / "finished")  # its orphan ends by itself
    run_id = newest(desk)
    desk.type("runs", "resume", run_id, status=4)
    _, err = desk.type("runs", "resume", run_id, "--retry", "second")
    assert "succeeded" in err
    assert (desk.folder / "counted").read_text() == "once\n"
    assert (desk.folder / "begun").read_text() == "begun\n" * 2, "once before the kill, once when retried"


def test_secrets_from_a_private_file_reach_the_run_and_not_the_home(desk: CommandLine) -> None:
    desk.write(
        "secret.yaml",
        "symphony: 1\nname: secret\nenv: [TOKEN]\nnodes:\n"
        '  a: {operator: debug.value, inputs: {value: "${{ size(env.TOKEN) }}"}}\n'
        'outputs: {n: "${{ a.result }}"}\n',
    )
    desk.write("my.env", "TOKEN=tr0ub4dor\n")
    (desk.folder / "my.env").chmod(0o644)
    assert "chmod 600" in desk.type("run", "secret.yaml", "--env-file", "my.env", status=2)[1]
    (desk.folder / "my.env").chmod(0o600)
    assert desk.type("run", "secret.yaml", "--env-file", "my.env")[0] == "n = 9\n"
    found = [p for p in (desk.folder / "home").rglob("*") if p.is_file() and b"tr0ub4dor" in p.read_bytes()]
    assert found == []


def test_own_operators_can_be_listed_explained_and_run(desk: CommandLine) -> None:
    desk.write(
        "mine.py",
        "from symphony import operator\n\n\n"
        '@operator("mine.twice", version="1.0.0", pure=True)\n'
        'def twice(value: int) -> int:\n    """Twice the value."""\n    return 2 * value\n',
    )
    desk.write(
        "mine.yaml",
        "symphony: 1\nname: mine\nnodes: {a: {operator: mine.twice, inputs: {value: 21}}}\n"
        'outputs: {a: "${{ a.result }}"}\n',
    )
    mine = ("--operators", "mine.py")
    assert desk.type("run", "mine.yaml", *mine)[0] == "a = 42\n"
    assert "Twice the value." in desk.type("operators", "show", "mine.twice", *mine)[0]
    names = desk.json("operators", "list", *mine)
    assert isinstance(names, list)
    assert {"mine.twice", "fs.glob"} <= {operator["name"] for operator in names}
    assert "did you mean fs.glob?" in desk.type("operators", "show", "fs.glop", status=2)[1]
    assert "unknown-operator" in desk.type("validate", "mine.yaml", status=2)[0]


def test_init_writes_a_workflow_that_runs_and_caches(desk: CommandLine) -> None:
    desk.variables["SYMPHONY_HOME"] = None
    desk.type("init", "project")
    desk.folder = desk.folder / "project"
    out, _ = desk.type("run", "workflow.yaml", "--input", "who=you")
    assert out.splitlines()[0] == "greeting = Hello, you!"
    assert (desk.folder / ".symphony" / "journal").is_dir()
    size = desk.json("cache", "size")
    assert isinstance(size, dict)
    desk.type("cache", "clear")
    assert desk.json("cache", "size") == {"entries": 0, "bytes": 0}
    desk.type("init", status=2)


@pytest.mark.parametrize(
    ("text", "verdict", "word"),
    [
        ("garbage =", "failed", "config.toml"),
        ("[arbiter]\ncores = 0", "failed", "arbiter.cores"),
        ('[retention]\ntrash = "x"', "failed", "retention.trash"),
        ("[arbiter.models.nope]\ncalls = 1", "warning", "nope"),
        ("[arbiter.models.minilm]\ncalls = 1", "ok", "config.toml"),
    ],
)
def test_doctor_reads_the_settings(desk: CommandLine, text: str, verdict: str, word: str) -> None:
    desk.home.mkdir(mode=0o700, exist_ok=True)
    (desk.home / "config.toml").write_text(text)
    (desk.home / "config.toml").chmod(0o600)
    status = 1 if verdict == "failed" else 0
    check = next(one for one in desk.json("doctor", status=status) if one["check"] == "settings")
    assert (check["verdict"], word in check["found"], bool(check["fix"])) == (verdict, True, verdict != "ok")


def test_doctor_finds_a_healthy_machine_healthy(desk: CommandLine) -> None:
    found = desk.json("doctor")
    assert isinstance(found, list)
    assert {check["check"] for check in found} >= {
        "python",
        "sqlite",
        "home",
        "disk",
        "clock",
        "model",
        "git",
    }
    assert all(check["fix"] for check in found if check["verdict"] != "ok")


def test_models_are_listed(desk: CommandLine) -> None:
    models = desk.json("models", "list")
    assert isinstance(models, list)
    assert [model["id"] for model in models] == ["minilm", "smollm2"]
    assert "minilm" in desk.type("models", "list")[0]


def test_words_complete(desk: CommandLine) -> None:
    desk.type("run", "greeting.yaml")

    def complete(*words: str) -> set[str]:
        asked = {"_SYMPHONY_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("symphony", *words))}
        out, err = desk.type(**asked, COMP_CWORD=str(len(words)))
        assert err == ""
        return {line.split(",", 1)[1] for line in out.splitlines()}

    assert {"run", "runs"} == complete("ru")
    assert {"who=", "times="} == complete("run", "greeting.yaml", "--input", "")
    assert {newest(desk)} == complete("runs", "show", newest(desk)[:5])
    assert {"hello"} == complete("runs", "logs", newest(desk), "h")
    assert {"note"} == complete("artifacts", "get", "no")
    assert {"fs.glob"} == complete("operators", "show", "fs.gl")


def test_where_no_run_is_named_the_last_one_is_meant(desk: CommandLine) -> None:
    for words in (("show",), ("logs",), ("events",), ("watch",), ("rerun",), ("resume",)):
        assert "[run-not-found]" in desk.type("runs", *words, status=2)[1]
    assert "there are no runs yet" in desk.type("runs", "show", status=2)[1]
    for name in ("older", "newer"):
        desk.write("wf.yaml", f"name: {name}\nnodes: {{say: {{command: echo {name}}}}}\n")
        desk.type("run", "wf.yaml", "--quiet")
    assert desk.json("runs", "show")["run_id"] == newest(desk)
    assert desk.type("runs", "logs", "--stream", "stdout")[0] == "say | newer\n"
    assert desk.type("runs", "logs", "say")[0] == "newer\n", "one word may be a node of the last run"
    assert desk.type("runs", "logs", "last", "say")[0] == "newer\n"
    assert "there is no run 'nonesuch'" in desk.type("runs", "logs", "nonesuch", status=2)[1]
    assert "run.finished" in desk.type("runs", "watch")[0]
    assert desk.type("runs", "events") == desk.type("runs", "events", "last")
    assert desk.json("runs", "rerun", "--quiet")["nodes"]["say"]["status"] == "cached"
    assert "no run that can go on" in desk.type("runs", "resume", status=2)[1]
    for words in (("cancel",), ("delete",), ("pause",)):
        assert "RUN" in desk.type("runs", *words, status=2)[1], "what changes a run wants it named"
