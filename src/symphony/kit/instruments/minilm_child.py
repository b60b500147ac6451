"""The process of `minilm`: `python -P -m symphony.kit.instruments.minilm_child [--models DIR]`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from symphony.commons import installation
from symphony.kit.instruments.serving import Instrument, serve
from symphony.ports.models import ModelUnavailable


def main(arguments: Sequence[str]) -> int:
    """Serve until the parent is gone. Exit status 2 for unknown arguments, 3 without the model."""
    models: Path | None = None
    match arguments:
        case []:
            pass
        case ["--models", folder]:
            models = Path(folder)
        case _:
            sys.stderr.write("usage: minilm_child [--models DIR]\n")
            return 2
    return serve(lambda: _load(models))


def _load(models: Path | None) -> Instrument:
    from symphony.kit.instruments.files import locate

    directory = locate(models)  # before the heavy import: a missing model is told at once
    try:
        from symphony.kit.instruments.minilm import MiniLM
    except ImportError as error:
        raise ModelUnavailable(
            f"minilm needs onnxruntime and numpy: {error}",
            hint=installation.Installation.here().adding_libraries(("onnxruntime", "numpy")),
        ) from error
    return MiniLM(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
