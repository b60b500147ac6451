"""The process of a model in a GGUF file: llama.cpp's own server, on loopback, behind a key of its own.

`python -P -m symphony.kit.instruments.llama_child [--file PATH] [--threads N] …`. Over the pipe to
its supervisor it says only where it listens: questions and answers go over HTTP, in the form that
many programs speak, so that one adapter serves this model and hosted ones. The process ends with
its parent, as every model's does.
"""

import argparse
import hashlib
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from symphony.commons import installation
from symphony.kit.instruments.files import SMOLLM2, SMOLLM2_WEIGHTS, locate
from symphony.kit.instruments.serving import Instrument, serve
from symphony.ports.models import ModelUnavailable
from symphony.ports.values import Value

_CACHE_MIB = 64
_HTTP_THREADS = 1
"""Besides one for each slot."""
_QUIET = 1
_LISTENS = "127.0.0.1"


class LlamaServer:
    """A running server. Its address is `url`, with `key` in front of everything."""

    def __init__(self, file: Path, *, threads: int, slots: int, context: int, embedding: bool) -> None:
        """Load `file`, to answer `slots` requests at once, each with `context` tokens.

        Raises ModelUnavailable if llama.cpp is not installed or cannot read it.
        """
        try:
            import xllamacpp
        except ImportError as error:
            raise ModelUnavailable(
                f"models in GGUF files need xllamacpp: {error}", hint=installation.adding("llama")
            ) from error
        self._key = secrets.token_urlsafe(32)
        settings = xllamacpp.CommonParams()
        settings.model.path = str(file)
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
        settings.n_ctx, settings.n_parallel, settings.n_gpu_layers = context * slots, slots, 0
        settings.cache_ram_mib, settings.warmup = _CACHE_MIB, False
        settings.hostnames, settings.port, settings.n_threads_http = [_LISTENS], 0, _HTTP_THREADS + slots
        settings.api_keys = [self._key]
        settings.endpoint_slots = settings.endpoint_props = settings.ui = False
        settings.verbosity = _QUIET
        if embedding:
            settings.embedding = True
            settings.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        try:
            self._server = xllamacpp.Server(settings)
        except RuntimeError as error:
            raise ModelUnavailable(
                f"llama.cpp cannot load {file}: {error}", hint="is it a GGUF file, whole, of a known kind?"
            ) from error

    def invoke(
        self, inputs: Mapping[str, Value], config: Mapping[str, Value], cancelled: Callable[[], bool]
    ) -> dict[str, Value]:
        """Return where it listens."""
        return {"url": f"{self._server.listening_address}/v1", "key": self._key}


def main(arguments: Sequence[str]) -> int:
    """Serve until the parent is gone. Exit status 2 for unknown arguments, 3 without the model."""
    parser = argparse.ArgumentParser(prog="llama_child")
    parser.add_argument("--file", type=Path, help="a GGUF file; without it, that of smollm2")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--kind", choices=("chat", "embedding"), default="chat")
    given = parser.parse_args(arguments)

    def load() -> Instrument:
        file = _smollm2(given.models) if given.file is None else _readable(given.file)
        return LlamaServer(
            file,
            threads=given.threads,
            slots=given.slots,
            context=given.context,
            embedding=given.kind == "embedding",
        )

    return serve(load)


def _smollm2(models: Path | None) -> Path:
    """Return the pulled file, verified: damaged weights answer too, only badly."""
    path = locate(models, SMOLLM2) / SMOLLM2_WEIGHTS.name
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != SMOLLM2_WEIGHTS.sha256:
        raise ModelUnavailable(f"{path} is damaged or another version", hint=f"run: {SMOLLM2.fetch}")
    return path


def _readable(file: Path) -> Path:
    try:
        with file.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise ModelUnavailable(
            f"cannot read {file}: {error.strerror}", hint="set file of the model to a GGUF file"
        ) from error
    if head != b"GGUF":
        raise ModelUnavailable(f"{file} is not a GGUF file", hint="set file of the model to a GGUF file")
    return file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
