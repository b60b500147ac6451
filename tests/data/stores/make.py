"""Makes a home with artifacts of every kind, as the code of today writes it, and says what it hands out.

`python make.py NAME` writes `NAME.tar.gz` and `NAME.json` beside this file.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SECRET = "topsecret-Value/42"
MAP = '{"as": "TYPE", "zip": 1, "name": {"y": 2.0, "b": [{"q": 1, "a": null}]}, "$$age": 3, "é": "ü"}'
VALUES = {
    "map": MAP,
    "list": '["TYPE", 1, 2.5, null, true]',
    "number": "41",
    "text": '"# TYPE\\n\\nWords: é\\n"',
    "document": '"{\\"TYPE\\": [1, 2]}"',
    "none": "null",
}
TYPES = {
    "json": "application/json",
    "markdown": "text/markdown",
    "plain": None,
    "msgpack": "application/msgpack",
    "png": "image/png",
}
NUMBERS = "operator: data.range, inputs: {count: 12000}"
TEXT = "operator: text.join, inputs: {parts: '${{ numbers.result.map(n, string(n)) }}', separator: ', '}"


def declared(name: str) -> str:
    return f"operator: debug.value, artifact: {{name: {name}, content_type: application/json}}"


def workflow() -> str:
    lines = ["name: Typed", "env: [TOKEN]", "nodes:"]
    made, outputs = [], []
    for kind, value in VALUES.items():
        for called, content_type in TYPES.items():
            name = f"{kind}-{called}"
            named = {"name": name} | ({} if content_type is None else {"content_type": content_type})
            given = json.loads(value.replace("TYPE", called))  # two of `number` and `none` share a body
            node = {"operator": "debug.value", "inputs": {"value": given}, "artifact": named}
            lines.append(f"  {name}: {json.dumps(node)}")
            outputs.append(f"  {name}: '${{{{ nodes[\"{name}\"].result }}}}'")
            made.append(name)
    lines += [
        f"  numbers: {{{NUMBERS}}}",
        f"  words: {{{TEXT}}}",
        f"  pieces: {{{declared('piece')}, for_each: '[1,2]', inputs: {{value: {{at: '${{{{ item }}}}'}}}}}}",
        f"  secret: {{{declared('secret')}, inputs: {{value: {{token: '${{{{ env.TOKEN }}}}'}}}}}}",
        "  asked: {control: approval, message: Well?}",
    ]
    reads = {name: f'${{{{ nodes["{name}"].result }}}}' for name in made}
    reads |= {"secret": "${{ secret.result.token == env.TOKEN }}", "pieces": "${{ pieces.result }}"}
    reads |= {"numbers": "${{ size(numbers.result) }}", "words": "${{ size(words.result) }}"}
    node = {"operator": "debug.value", "after": ["asked"], "inputs": {"value": reads}}
    lines.append(f"  read: {json.dumps(node)}")
    outputs += ["  numbers: ${{ numbers.result }}", "  words: ${{ words.result }}"]
    outputs += [
        "  pieces: ${{ pieces.result }}",
        "  secret: ${{ secret.result }}",
        "  read: ${{ read.result }}",
    ]
    return "\n".join([*lines, "outputs:", *outputs, ""])


def main(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, home = Path(place), Path(place) / "home"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SYMPHONY")}
        environment |= {"SYMPHONY_HOME": str(home), "TOKEN": SECRET}

        def symphony(*words: str) -> str:
            return subprocess.run(
                [sys.executable, "-P", "-m", "symphony", *words],
                cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                check=words[0] != "run",
            ).stdout  # fmt: skip

        (folder / "typed.yaml").write_text(workflow())
        (folder / "by-hand.md").write_text("# By hand\n")
        symphony("artifacts", "put", str(folder / "by-hand.md"))
        run = json.loads(symphony("run", str(folder / "typed.yaml"), "--json"))
        assert run["status"] == "waiting", run
        opened = {}
        listed = json.loads(symphony("artifacts", "list", "--json", "--limit", "1000"))
        for one in sorted(name for record in listed for name in record["names"]):
            path = Path(symphony("artifacts", "open", one).splitlines()[0])
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
            opened[one] = {"file": path.name, "text": text}
        sizes = {record["digest"]: record["size"] for record in listed}
        with tarfile.open(HERE / f"{name}.tar.gz", "w:gz") as packed:
            packed.add(home, "home", filter=_kept)
        told = {"run": run["run_id"], "opened": opened, "sizes": sizes}
        (HERE / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")


def _kept(one: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if one.name.endswith("-shm") or "/opened" in one.name else one


if __name__ == "__main__":
    main(sys.argv[1])
