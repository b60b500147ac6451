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

import msgspec

from symphony.commons.settings import ModelConfig
from symphony.ports.models import ModelUnavailable

if TYPE_CHECKING:
    from symphony.workflow.catalog import ModelInfo

MINILM = "minilm"
VERSION = "1.0.0"
"""The version of `minilm`: the release of the package that its weights come from."""
SMOLLM2 = "smollm2"
SMOLLM2_CONFIG = ModelConfig(provider="llama", file="", context=2048, max_tokens=256)
"""The configuration as settings would have it; the file is found where it was pulled to."""

ELEMENTWISE = {MINILM: ("texts", "vectors")}
"""Models whose one list input may be split at will: (input, the output that corresponds)."""

_CODE = {MINILM: ("wordpiece.py", "minilm.py"), SMOLLM2: ("llama_child.py",)}
# -P: a numpy.py in the directory that is being worked on must not be imported.
_PYTHON = (sys.executable, "-P", "-m")


def models() -> "Mapping[str, ModelInfo]":
    """Return what a workflow may name after `instrument:`."""
    # Not in the child: it starts faster.
    from symphony.kit.instruments.hosted.catalog import model_info
    from symphony.workflow.catalog import ModelInfo, Port
    from symphony.workflow.types import PortType, list_of

    return {
        MINILM: ModelInfo(
            id=MINILM,
            version=VERSION,
            inputs={
                "texts": Port(
                    type=list_of(PortType("string")),
                    description="texts or pieces of code, in any number; long ones are read in windows",
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
        ),
        SMOLLM2: msgspec.structs.replace(
            model_info(SMOLLM2, SMOLLM2_CONFIG),
            summary="A demo: a tiny chat model (SmolLM2-135M) on this machine. It talks; do not rely on it",
            provider="local (demo)",
        ),
    }


def child_argv(model: str, *, home: Path | None = None) -> tuple[str, ...]:
    """Return the command that runs `model` as a child process.

    `home` is Symphony's home, whose `models/` is looked at first. Raises ModelUnavailable for an
    unknown id. Whether the model's files are there, the child finds out.
    """
    if model == SMOLLM2:
        return llama_argv(SMOLLM2_CONFIG, home=home)
    if model != MINILM:
        raise ModelUnavailable(
            f"there is no model {model!r}", hint=f"models that ship with Symphony: {MINILM}, {SMOLLM2}"
        )
    argv = (*_PYTHON, "symphony.kit.instruments.minilm_child")
    return argv if home is None else (*argv, "--models", str(home / "models"))


def llamas(configured: Mapping[str, ModelConfig]) -> dict[str, ModelConfig]:
    """Return the models in GGUF files: the demo, unless its name is `configured`, and the configured ones."""
    own = {name: one for name, one in configured.items() if one.provider == "llama"}
    return own if SMOLLM2 in configured else {SMOLLM2: SMOLLM2_CONFIG, **own}


def llama_argv(config: ModelConfig, *, home: Path | None = None) -> tuple[str, ...]:
    """Return the command that serves a GGUF file; without `config.file`, that of `smollm2`."""
    given = {
        "--file": config.file,
        "--models": str(home / "models") if home is not None and not config.file else None,
        "--threads": str(config.threads),
        "--slots": str(config.slots),
        "--context": str(config.context),
        "--kind": config.kind,
    }
    words = [word for name, value in given.items() if value for word in (name, value)]
    return (*_PYTHON, "symphony.kit.instruments.llama_child", *words)


@lru_cache(maxsize=8)
def fingerprint(model: str) -> str:
    """SHA-256 over the digests of the model's files and the code between text and answer.

    Raises ModelUnavailable for an unknown id.
    """
    from symphony.kit.instruments.files import BUNDLES

    if model not in BUNDLES:
        raise ModelUnavailable(f"there is no model {model!r}", hint=f"known: {', '.join(BUNDLES)}")
    parts = hashlib.sha256()
    for file in BUNDLES[model].files:
        parts.update(file.sha256.encode())
    for name in _CODE[model]:
        parts.update((Path(__file__).parent / name).read_bytes())
    return parts.hexdigest()
