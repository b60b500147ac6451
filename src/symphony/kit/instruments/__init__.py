"""The models that ship with Symphony, by id. Light to import: no numpy, no onnxruntime.

A model runs in a process of its own; this module says which and how to start it, the pool
supervises it.
"""

import hashlib
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.ports.models import ModelUnavailable

if TYPE_CHECKING:
    from symphony.workflow.catalog import ModelInfo

MINILM = "minilm"
VERSION = "1.0.0"
"""Of `minilm`: the release of the package that its weights come from."""

ELEMENTWISE = {MINILM: ("texts", "vectors")}
"""Models whose one list input may be split at will: (input, the output that corresponds)."""

_CODE = ("wordpiece.py", "minilm.py")


def models() -> "Mapping[str, ModelInfo]":
    """What a workflow may name after `instrument:`."""
    from symphony.workflow.catalog import ModelInfo, Port  # not in the child: it starts faster
    from symphony.workflow.types import PortType, list_of

    return {
        MINILM: ModelInfo(
            id=MINILM,
            version=VERSION,
            inputs={
                "texts": Port(
                    type=list_of(PortType("string")),
                    description="texts or pieces of code, in any number; what exceeds 256 tokens is cut off",
                )
            },
            outputs={
                "vectors": Port(
                    type=list_of(PortType("embedding")),
                    description="one vector of 384 numbers and length 1 per text, in order",
                )
            },
            summary="Sentence embeddings (all-MiniLM-L6-v2) on this machine, without network",
            provider="local",
        )
    }


def child_argv(model: str, *, home: Path | None = None) -> tuple[str, ...]:
    """The command that runs `model` as a child process.

    `home` is Symphony's home, whose `models/` is looked at first. Raises ModelUnavailable for
    an unknown id. Whether the model's files are there, the child finds out.
    """
    _known(model)
    # -P: a numpy.py in the directory that is being worked on must not be imported.
    argv = (sys.executable, "-P", "-m", "symphony.kit.instruments.minilm_child")
    return argv if home is None else (*argv, "--models", str(home / "models"))


@lru_cache(maxsize=8)
def fingerprint(model: str) -> str:
    """SHA-256 over the weights' and vocabulary's digests and the code between text and vector.

    Raises ModelUnavailable for an unknown id.
    """
    from symphony.kit.instruments.files import MODEL_FILES

    _known(model)
    parts = hashlib.sha256()
    for file in MODEL_FILES:
        parts.update(file.sha256.encode())
    for name in _CODE:
        parts.update((Path(__file__).parent / name).read_bytes())
    return parts.hexdigest()


def _known(model: str) -> None:
    if model != MINILM:
        raise ModelUnavailable(
            f"there is no model {model!r}", hint=f"models that ship with Symphony: {MINILM}"
        )
