"""What validation says of commands: variables that inputs replace, and those that a command does not get."""

import msgspec
import pytest

from symphony.workflow.builtin import builtin_catalog
from symphony.workflow.files import loads
from symphony.workflow.problems import ValidationReport
from symphony.workflow.validation import validate


def report_of(node: str, rest: str = "", more: str = "") -> ValidationReport:
    return validate(loads(f"name: case\n{rest}\nnodes:\n  a: {node}\n{more}", "yaml"), builtin_catalog())


def places(report: ValidationReport) -> list[tuple[str, str]]:
    return [(one.code, one.place) for one in report.errors]


def warnings(report: ValidationReport) -> list[tuple[str, str]]:
    return [(one.code, one.place) for one in report.warnings]


@pytest.mark.parametrize(
    "name",
    [
        "path", "PATH", "Path", "ifs", "env", "bash_env", "bash-env", "shellopts", "ld_preload", "LD-PRELOAD",
        "ld_library_path", "ld_audit", "dyld_insert_libraries", "dyld-library-path",
    ],
)  # fmt: skip
def test_an_input_that_replaces_what_the_shell_works_by_is_refused(name: str) -> None:
    report = report_of(f"{{command: 'true', inputs: {{{name}: x}}}}")
    assert places(report) == [("reserved-name", f"nodes.a.inputs.{name}")]
    assert report.warnings == ()


@pytest.mark.parametrize(
    "name",
    [
        "home", "lang", "LC_ALL", "lc-messages", "user", "shell", "term", "tmpdir", "pwd", "bashopts", "ps4",
        "cdpath", "globignore", "prompt_command", "pythonpath", "symphony_node", "symphony-run-id",
        "ppid", "optind", "lineno", "random", "seconds", "_", "tz", "columns", "logname", "pager", "editor",
        "https_proxy", "no-proxy", "git-dir", "git_work_tree", "git_ssh_command", "git_config_count",
        "makeflags", "classpath", "java_tool_options", "pythonwarnings", "pythonhashseed", "xdg-config-home",
        "ssl_cert_file", "tar_options", "bash_xtracefd", "symphony_home", "symphony_run_home",
        "symphony__models__m__url",
    ],
)  # fmt: skip
def test_an_input_that_replaces_what_programs_expect_is_told_and_allowed(name: str) -> None:
    report = report_of(f"{{command: 'true', inputs: {{{name}: x}}}}")
    assert places(report) == []
    assert warnings(report) == [("reserved-name", f"nodes.a.inputs.{name}")]


@pytest.mark.parametrize(
    "name",
    [
        "file",
        "paths",
        "my_path",
        "homes",
        "language",
        "old",
        "ldap",
        "envs",
        "git_token",
        "git_author_name",
        "lines",
        "proxy",
        "zone",
        "node",
        "java_home",
        "symphony",
    ],
)
def test_an_input_with_any_other_name_is_fine(name: str) -> None:
    report = report_of(f"{{command: 'true', inputs: {{{name}: x}}}}")
    assert places(report) + warnings(report) == []


def test_an_edge_and_an_input_inside_a_loop_replace_variables_as_well() -> None:
    edges = "  b: {operator: debug.value, inputs: {value: x}}\nedges: [{from: b.result, to: a.path}]"
    report = report_of("{command: 'true'}", more=edges)
    assert places(report) == [("reserved-name", "nodes.a.inputs.path")]
    loop = "{control: loop, state: {n: 1}, until: 'true', body: {c: {command: 'true', inputs: {ifs: x}}}}"
    assert places(report_of(loop)) == [("reserved-name", "nodes.a.body.c.inputs.ifs")]


def test_variables_in_the_map_of_the_operator_command_are_checked_as_its_inputs_are() -> None:
    given = "{operator: command, inputs: {command: 'true', environment: %s}}"
    report = report_of(given % "{ld-preload: x, file: y, tz: z}")
    assert places(report) == [("reserved-name", "nodes.a.inputs.environment.ld-preload")]
    assert warnings(report) == [("reserved-name", "nodes.a.inputs.environment.tz")]
    report = report_of(given % '"${{ inputs.all }}"', rest="inputs: {all: {type: any}}")
    assert (places(report), warnings(report)) == ([], [("reserved-name", "nodes.a.inputs.environment")])
    report = report_of(given % "{file: y}")
    assert places(report) + warnings(report) == []
    assert places(report_of("{operator: debug.value, inputs: {value: {path: x}}}")) == []


def test_inputs_of_operators_may_be_called_as_they_like() -> None:
    assert places(report_of("{operator: fs.read, inputs: {path: notes.txt}}")) == []


@pytest.mark.parametrize(
    "command",
    [
        "echo $TOKEN",
        'curl -H "X: ${TOKEN:-none}"',
        "printenv TOKEN",
        "python3 -c 'import os; os.environ[\"TOKEN\"]'",
    ],
)
def test_a_command_that_names_a_listed_variable_without_reading_it_is_told(command: str) -> None:
    node = msgspec.json.encode({"command": command}).decode()
    report = report_of(node, "env: [TOKEN]")
    assert places(report) == []
    assert warnings(report) == [("missing-input", "nodes.a.command")]
    assert "${{ env.TOKEN }}" in report.warnings[0].hint


@pytest.mark.parametrize(
    ("command", "inputs"),
    [
        ("echo $TOKEN", '{token: "${{ env.TOKEN }}"}'),
        ("echo $TOKEN", '{key: "Bearer ${{ env.TOKEN }}"}'),
        ("echo $TOKEN", "{token: another}"),
        ("TOKEN=x; echo $TOKEN", "{}"),
        ("while read TOKEN; do echo $TOKEN; done", "{}"),
        ("echo $TOKENS $MY_TOKEN", "{}"),
        ("echo $HOME", "{}"),
    ],
)
def test_nothing_is_told_where_the_command_has_the_variable(command: str, inputs: str) -> None:
    report = report_of(f"{{command: '{command}', inputs: {inputs}}}", "env: [TOKEN, HOME]")
    assert places(report) + warnings(report) == []


def test_a_command_that_names_the_key_of_a_model_is_told() -> None:
    catalog = msgspec.structs.replace(builtin_catalog(), keys=frozenset({"MY_KEY"}))
    flow = loads("name: case\nnodes:\n  a: {command: echo $MY_KEY}", "yaml")
    report = validate(flow, catalog)
    assert warnings(report) == [("missing-input", "nodes.a.command")]
    assert "has a key or passphrase of the settings" in report.warnings[0].message


WHO = "inputs: {who: {type: string, default: x}, path: {type: string, default: y}}"


@pytest.mark.parametrize(
    ("node", "hint"),
    [
        (
            "{command: 'echo {{ inputs.who }}'}",
            'add inputs: {who: "${{ inputs.who }}"} to the node, and write "$WHO" in the command',
        ),
        (
            "{command: 'echo {{inputs.who | upper}}', inputs: {name: '${{ inputs.who }}'}}",
            'write "$NAME", which has the input name',
        ),
        (
            "{command: 'cat ${inputs.path}'}",
            'add inputs: {my_path: "${{ inputs.path }}"} to the node, and write "$MY_PATH" in the command',
        ),
        (
            "{command: 'echo $inputs.who'}",
            'add inputs: {who: "${{ inputs.who }}"} to the node, and write "$WHO" in the command',
        ),
        (
            "{command: 'echo {{ b.stdout }}'}",
            'add inputs: {stdout: "${{ b.stdout }}"} to the node, and write "$STDOUT" in the command',
        ),
        (
            "{command: 'echo {{ item }}', for_each: [1, 2]}",
            'add inputs: {item: "${{ item }}"} to the node, and write "$ITEM" in the command',
        ),
        (
            "{command: 'echo {{ run.id }}'}",
            'add inputs: {id: "${{ run.id }}"} to the node, and write "$ID" in the command',
        ),
    ],
)
def test_braces_in_a_command_that_name_a_value_are_a_warning(node: str, hint: str) -> None:
    report = report_of(node, WHO, "  b: {command: 'true'}")
    assert not report.errors
    found = [one for one in report.warnings if one.code == "bad-expression"]
    assert [(one.place, one.hint) for one in found] == [("nodes.a.command", hint)]


def test_braces_in_a_loop_know_its_state() -> None:
    body = "{q: {command: 'echo {{ state.n }} {{ state.other }}'}}"
    report = report_of(
        f"{{control: loop, state: {{n: 0}}, next: {{n: state.n + 1}}, until: state.n > 2, body: {body}}}"
    )
    assert [one.place for one in report.warnings if one.code == "bad-expression"] == [
        "nodes.a.body.q.command"
    ]


@pytest.mark.parametrize(
    "command",
    [
        "docker ps --format '{{.Names}} {{ .ID }} {{json .}}'",
        "echo {{ inputs.zip }} {{ other.stdout }} {{ b.file }} {{ item }} {{ state.n }} {{ index }}",
        "for b in *; do cp $b $b.stdout; cp ${b} ${b%.txt}; done",
        "awk '{{ print }}' file; echo ${HOME}",
    ],
)
def test_braces_that_name_nothing_of_the_workflow_are_left_alone(command: str) -> None:
    report = report_of(f'{{command: "{command}"}}', WHO, "  b: {command: 'true'}")
    assert not report.errors
    assert [one for one in report.warnings if one.code == "bad-expression"] == []
