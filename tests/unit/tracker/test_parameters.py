"""What made an artifact besides its inputs is known afterwards, without secrets and bounded."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from symphony.app import Symphony
from symphony.commons.config import Config
from symphony.pit.tracker.nodes.parameters import CHARACTERS_MAX
from symphony.ports.artifacts import Provenance
from symphony.sdk import Context, operator
from symphony.testing import FakeModel
from symphony.testing.models import FakeModels
from symphony.workflow import loads

SECRET = "topsecret-Value/42"
FLOW = f"""
name: Parameters
env: [TOKEN]
inputs: {{heat: {{type: number, default: 0.25}}}}
nodes:
  said:
    command: 'printf hello # {SECRET}'
    inputs: {{who: world, token: "${{{{ env.TOKEN }}}}"}}
    artifact: {{name: said, port: stdout}}
  joined:
    operator: text.join
    inputs: {{parts: ["${{{{ said.stdout }}}}"], separator: ", "}}
    artifact: {{name: joined}}
  styled:
    operator: test.styled
    config: {{style: "${{{{ said.stdout }}}}", depth: 3, long: "{"x" * 2000}"}}
    artifact: {{name: styled}}
  answer:
    instrument: gpt
    inputs: {{prompt: "Why {SECRET}?"}}
    config: {{temperature: "${{{{ inputs.heat }}}}", max_tokens: 7}}
    artifact: {{name: answer, port: text}}
"""


@operator("test.styled", version="1.0.0")
def styled(context: Context) -> str:
    """Its configuration."""
    return str(context.config["style"])


def made(tmp_path: Path) -> dict[str, Provenance]:
    """The provenance of each artifact of a run."""
    model = FakeModel("because")

    async def whole() -> None:
        async with Symphony.open(
            tmp_path, operators=[styled], config=Config(), models=FakeModels({"gpt": model}),
            catalog={"gpt": model.info("gpt")},
        ) as symphony:  # fmt: skip
            handle = await symphony.start(
                loads(FLOW, "yaml"), environment={"TOKEN": SECRET, "PATH": "/bin:/usr/bin"}
            )
            result = await handle.result()
            assert result.status == "succeeded", result.error

    asyncio.run(whole())
    store = Symphony.open(tmp_path).artifacts
    return {by.node: by for record in store.records() for by in record.provenance}


def test_the_command_settings_and_literal_inputs_that_made_an_artifact_are_kept_without_secrets(
    tmp_path: Path,
) -> None:
    found: Mapping[str, Provenance] = made(tmp_path)
    assert found["said"].parameters == {"command": "printf hello # ***", "inputs.who": "world"}
    assert found["joined"].parameters == {"inputs.separator": ", "}
    assert found["answer"].model == "gpt"
    assert found["answer"].parameters == {
        "temperature": "0.25", "max_tokens": "7", "inputs.prompt": "Why ***?"
    }  # fmt: skip
    assert SECRET not in (tmp_path / "artifacts" / "records.log").read_text()
    long = found["styled"].parameters["long"]
    assert found["styled"].parameters == {"style": "hello", "depth": "3", "long": long}
    assert len(long) == CHARACTERS_MAX
    assert long.endswith("x…")
