"""The settings of the operator or model that made an output, for people to read."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from symphony.ipc.values import spelled
from symphony.pit.artifacts.values.sealed import hidden
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.pit.tracker.nodes.work import ModelWork, OperatorWork, Work, settings
from symphony.ports.values import ArtifactRef, StoredValue
from symphony.workflow.model import CommandNode

CHARACTERS_MAX: Final = 500
"""The characters of one parameter; a longer one is cut. Its digest is among the inputs, if it is one."""
PARAMETERS_MAX: Final = 40


def parameters(
    work: Work, inputs: Mapping[str, StoredValue], config: Mapping[str, StoredValue] | None, sealer: Sealer
) -> dict[str, str]:
    """Return the command, settings (`temperature`) and literal inputs (`inputs.separator`) of a node.

    `config` is that of a model, with its expressions evaluated. Texts are returned as they are, other values
    as JSON, secrets as `***`; there are at most `PARAMETERS_MAX` of at most `CHARACTERS_MAX` characters each.
    """
    told: dict[str, str] = {}
    for name, value in _settings(work, inputs, config):
        if len(told) >= PARAMETERS_MAX:
            break
        told[name] = _text(value, sealer)
    return told


def _settings(
    work: Work, inputs: Mapping[str, StoredValue], config: Mapping[str, StoredValue] | None
) -> Iterator[tuple[str, StoredValue]]:
    if isinstance(work.node, CommandNode):
        yield "command", work.node.command
    if config is not None:
        yield from config.items()
    elif isinstance(work, ModelWork | OperatorWork):
        yield from settings(work).items()
    for name, template in work.inputs.items():
        if template.constant and name in inputs:
            yield f"inputs.{name}", inputs[name]


def _text(value: StoredValue, sealer: Sealer) -> str:
    shown = hidden(sealer.seal(value))
    if isinstance(shown, ArtifactRef):
        return f"artifact {shown.digest}"
    text = shown if isinstance(shown, str) else msgspec.json.encode(spelled(shown)).decode()
    return text if len(text) <= CHARACTERS_MAX else f"{text[: CHARACTERS_MAX - 1]}…"
