"""A listed variable's value reaches nodes and the result, and never a file under the home."""

import base64
import json
import secrets
import string
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, kill
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

WORKFLOW = """\
symphony: 1
name: Secrets
inputs:
  place: {type: string}
  given: {type: string, default: none}
env: [TOKEN]
nodes:
  first:
    command: touch "$PLACE/first"; while [ ! -e "$PLACE/go" ]; do sleep 0.02; done
    idempotent: true
    inputs: {place: "${{ inputs.place }}"}
  bearer:
    operator: debug.value
    inputs: {value: "Bearer ${{ env.TOKEN }}!"}
    after: [first]
  key:
    operator: debug.value
    inputs: {value: {name: "${{ env.TOKEN }}", list: ["${{ env.TOKEN }}", "${{ bearer.result }}"]}}
  told:
    command: printf 'token=%s' "$TOKEN"; printf 'é%s\\n' "$TOKEN" >&2
    inputs: {token: "${{ env.TOKEN }}"}
    idempotent: true
    after: [first]
  passed:
    command: printf '%s' "$HEADER"
    idempotent: true
    inputs: {header: "${{ bearer.result }}"}
  broken:
    command: echo "cannot log in with $TOKEN" >&2; exit 7
    inputs: {token: "${{ env.TOKEN }}"}
    on_error: skip
    after: [first]
  refused:
    operator: debug.fail
    inputs: {message: "no luck with ${{ env.TOKEN }}"}
    on_error: skip
    after: [first]
  each:
    for_each: '[env.TOKEN, "x" + env.TOKEN, "plain"]'
    operator: text.split
    inputs: {text: "a,${{ item }}", separator: ","}
    after: [first]
  said:
    for_each: each.result
    command: printf '%s' "$PARTS"
    idempotent: true
    inputs: {parts: "${{ item }}"}
  note:
    operator: text.join
    inputs: {parts: ["Dear ${{ env.TOKEN }}", "${{ told.stdout }}"], separator: " "}
    artifact: {name: note, content_type: text/plain}
  large:
    command: i=0; while [ $i -lt 2000 ]; do echo "$TOKEN and more"; i=$((i+1)); done
    inputs: {token: "${{ env.TOKEN }}"}
    idempotent: true
    after: [first]
  last:
    command: touch "$PLACE/last"; while [ ! -e "$PLACE/end" ]; do sleep 0.02; done
    idempotent: true
    inputs: {place: "${{ inputs.place }}"}
    after: [key, told, passed, said, note, large]
outputs:
  bearer: "${{ bearer.result }}"
  key: "${{ key.result }}"
  told: "${{ told.stdout }}"
  noise: "${{ told.stderr }}"
  passed: "${{ passed.stdout }}"
  each: "${{ each.result }}"
  said: "${{ said.stdout }}"
  note: "${{ note.result }}"
  given: "${{ inputs.given }}"
"""


class Desk(CommandLine):
    """A workflow, and a token that is told only to the processes that it is given to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TOKEN=None)
        letters = string.ascii_letters + string.digits
        self.token = "".join(secrets.choice(letters) for _ in range(24))
        self.write("secrets.yaml", WORKFLOW)

    def words(self, *more: str) -> tuple[str, ...]:
        return ("run", "secrets.yaml", "--input", f"place={self.folder}", *more, "--json")

    def open_gate(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    def killed(self, at: str, *more: str, token: str | None = None) -> None:
        """A run whose process dies when the node `at` has begun."""
        process = self.start(*self.words(*more), TOKEN=token)
        wait_for(self.folder / at, process)
        kill(process)

    def leaks(self) -> list[str]:
        """Every file under the home that holds the token, or a plain spelling of it."""
        body = self.token.encode()
        spellings = (
            body,
            body[::-1],
            body.hex().encode(),
            base64.b64encode(body),
            self.token.encode("utf-16-le"),
        )
        found, seen = [], 0
        for path in sorted(self.home.rglob("*")):
            if path.is_file():
                seen += 1
                content = path.read_bytes()
                found += [str(path.relative_to(self.home)) for one in spellings if one in content]
            if self.token in path.name:
                found.append(f"the name {path.name}")
        assert seen > 3
        return found

    def check(self, out: str) -> None:
        """The result tells the truth; the home does not."""
        token, result = self.token, json.loads(out)
        assert result["status"] == "succeeded"
        outputs = result["outputs"]
        note = outputs.pop("note")
        assert outputs.pop("given") in ("none", f"<{token}>")
        assert outputs == {
            "bearer": f"Bearer {token}!",
            "key": {"name": token, "list": [token, f"Bearer {token}!"]},
            "told": f"token={token}",
            "noise": f"é{token}\n",
            "passed": f"Bearer {token}!",
            "each": [["a", token], ["a", f"x{token}"], ["a", "plain"]],
            "said": [f'["a","{token}"]', f'["a","x{token}"]', '["a","plain"]'],
        }
        assert result["nodes"]["broken"]["status"] == result["nodes"]["refused"]["status"] == "skipped"
        assert token not in json.dumps(result["nodes"])
        assert "cannot log in with ***" in result["nodes"]["broken"]["error"]["message"]
        assert self.leaks() == []
        shown = [self.type("runs", word, "last", "--json")[0] for word in ("show", "events", "logs")]
        shown.append(self.type("artifacts", "get", note["$artifact"])[0])
        assert not any(token in text for text in shown)
        assert shown[3] == "Dear *** token=***"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_result_holds_a_secret_and_no_file_under_the_home_does(desk: Desk) -> None:
    desk.open_gate("go", "end")
    out, err = desk.type(*desk.words("--input", f"given=<{desk.token}>"), TOKEN=desk.token)
    assert desk.token not in err
    desk.check(out)


def test_while_a_run_is_under_way_its_write_ahead_log_holds_no_secret_and_it_resumes(desk: Desk) -> None:
    desk.open_gate("go")
    desk.killed("last", token=desk.token)
    assert list(desk.home.rglob("*-wal"))
    assert desk.leaks() == []
    desk.open_gate("end")
    out, err = desk.type("runs", "resume", "last", "--json", status=1)
    assert "TOKEN" in json.loads(out)["errors"][0]["message"]
    assert "secret-missing" in err
    assert "set TOKEN" in err
    desk.check(desk.type("runs", "resume", "last", "--json", TOKEN=desk.token)[0])


def test_without_its_secret_a_run_does_not_go_on_even_if_nothing_recorded_holds_it(desk: Desk) -> None:
    desk.killed("first", token=desk.token)
    desk.open_gate("go", "end")
    out, _ = desk.type("runs", "resume", "last", "--json", status=1)
    assert "TOKEN" in json.loads(out)["errors"][0]["message"]
    desk.check(desk.type("runs", "resume", "last", "--json", TOKEN=desk.token)[0])


def test_a_private_file_of_variables_serves_as_well_and_an_open_one_is_refused(desk: Desk) -> None:
    file = desk.folder / "my.env"
    file.write_text(f"TOKEN={desk.token}\n", encoding="utf-8")
    file.chmod(0o644)
    desk.open_gate("go")
    out, err = desk.type(*desk.words("--env-file", "my.env"), status=2)
    assert "0644" in err
    assert "chmod 600" in err
    assert desk.token not in out + err
    file.chmod(0o600)
    desk.killed("last", "--env-file", "my.env")
    assert desk.leaks() == []
    desk.open_gate("end")
    assert "TOKEN" in desk.type("runs", "resume", "last", "--json", status=1)[0]
    desk.check(desk.type("runs", "resume", "last", "--json", TOKEN=desk.token)[0])


def test_a_run_with_a_private_file_of_variables_ends_in_one_go(desk: Desk) -> None:
    file = desk.folder / "my.env"
    file.write_text(f'export TOKEN="{desk.token}"\n', encoding="utf-8")
    file.chmod(0o600)
    desk.open_gate("go", "end")
    desk.check(desk.type(*desk.words("--env-file", "my.env"))[0])
