"""The embedding model: texts in, unit vectors of 384 numbers out. Loads onnxruntime and numpy.

One text at a time in each of two threads: on a processor a batch is not a faster (it is padded to its
longest text), and two texts at once are faster than one text on two threads, whose parts wait for each
other. A cancelled call ends within one text, and a text's vector never depends on its neighbours.

Source: N. Reimers and I. Gurevych, "Sentence-BERT", 2019 (mean pooling); W. Wang et al.,
"MiniLM", 2020.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias

import numpy as np

from symphony.kit.instruments.files import VOCABULARY, WEIGHTS, locate, read_verified
from symphony.kit.instruments.wordpiece import TOKENS_MAX, WordPiece
from symphony.ports.models import ModelFailed, ModelUnavailable
from symphony.ports.values import Value

DIMENSIONS = 384
TOKENS_DEFAULT = 256
"""The length that the model was trained with."""

_THREADS_MAX = 2
_TELEMETRY_OFF: Final = ("ORT_DISABLE_TELEMETRY", "1")

Total: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]


class MiniLM:
    """The loaded model. One call at a time."""

    def __init__(self, directory: Path, *, threads: int | None = None) -> None:
        """Load from `directory`; so many `threads` work at once: the processors at hand, at most 2, if None.

        Raises ModelUnavailable if a file is missing, damaged or not readable by onnxruntime.
        """
        onnxruntime = quiet_onnxruntime()
        weights = read_verified(directory, WEIGHTS)
        self._tokens = WordPiece.from_text(read_verified(directory, VOCABULARY).decode())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # it works in the threads that ask
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelUnavailable(f"onnxruntime cannot load the model: {error}") from error
        self._asking = ThreadPoolExecutor(threads or default_threads(), thread_name_prefix="embedding")

    @classmethod
    def installed(cls, models: Path | None = None) -> "MiniLM":
        """From where `fetch` put it, or from `models/minilm`. Raises ModelUnavailable."""
        return cls(locate(models))

    def embed(self, text: str, *, tokens_max: int = TOKENS_DEFAULT) -> list[float]:
        """Return the vector of `text`: 384 finite numbers, Euclidean length 1 (to 1e-6).

        What is longer than `tokens_max` is read in windows, and the mean is that of the tokens of all:
        two texts that differ anywhere in their first 65,536 characters have different vectors.
        """
        windows = self._tokens.windows(text, tokens_max=tokens_max)
        return _unit(map(self._sum, windows), sum(map(len, windows)))

    def _spread(self, text: str, tokens_max: int, cancelled: Callable[[], bool]) -> list[float] | None:
        """Embed as `embed` does, with the windows of one long text in all threads; None once cancelled."""
        windows = self._tokens.windows(text, tokens_max=tokens_max)

        def summed(window: Sequence[int]) -> Total | None:
            return None if cancelled() else self._sum(window)

        sums = list(self._asking.map(summed, windows))
        known = [one for one in sums if one is not None]
        return _unit(known, sum(map(len, windows))) if len(known) == len(windows) else None

    def _sum(self, window: Sequence[int]) -> Total:
        """Return the sum over the tokens of one window: there is no padding, so every token counts."""
        ids = np.array([window], dtype=np.int64)
        feeds = {
            "input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)
        }  # fmt: skip
        (hidden,) = self._session.run(["last_hidden_state"], feeds)
        total: Total = hidden[0].sum(axis=0, dtype=np.float64)
        return total

    def invoke(
        self, inputs: Mapping[str, Value], config: Mapping[str, Value], cancelled: Callable[[], bool]
    ) -> dict[str, Value]:
        """Ports `texts` → `vectors`. `config` may set `max_tokens`, the length of a window, 3 to 512.

        Stops early, with an incomplete result, once `cancelled()`. Raises ModelFailed
        (`type-mismatch`, `unknown-port`) for wrong inputs or configuration.
        """
        texts = _texts(inputs)
        tokens_max = _tokens_max(config)

        def embedded(text: str) -> list[float] | None:
            return None if cancelled() else self.embed(text, tokens_max=tokens_max)

        if len(texts) == 1:
            vectors: Iterable[list[float] | None] = [self._spread(texts[0], tokens_max, cancelled)]
        else:
            vectors = self._asking.map(embedded, texts)
        return {"vectors": [[*vector] for vector in vectors if vector is not None]}


def _unit(sums: Iterable[Total], count: int) -> list[float]:
    """Return the mean over `count` tokens, at length 1. The order of the sums is that of the text."""
    total = np.zeros(DIMENSIONS)
    for one in sums:
        total += one
    pooled = total / count
    unit = pooled / max(float(np.linalg.norm(pooled)), 1e-12)
    # Seven decimals are beyond float32 at this size, and shorter where vectors become JSON.
    vector: list[float] = unit.round(7).tolist()
    return vector


def quiet_onnxruntime() -> ModuleType:
    """Return the library onnxruntime, imported with its telemetry off.

    From 1.29 on it would write a device id and a database into the user's cache folder, and send what
    is in it. It looks at this variable once, when it is loaded. A user's own value stays. Source:
    https://github.com/microsoft/onnxruntime/pull/27379.
    """
    os.environ.setdefault(*_TELEMETRY_OFF)
    import onnxruntime

    library: ModuleType = onnxruntime
    return library


def default_threads() -> int:
    """Processors that this process may use, at most 2: a laptop stays usable."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        usable = os.cpu_count() or 1
    return min(_THREADS_MAX, usable)


def _texts(inputs: Mapping[str, Value]) -> list[str]:
    if unknown := sorted(set(inputs) - {"texts"}):
        raise ModelFailed(
            f"minilm has no input {unknown[0]!r}", code="unknown-port", hint="its input is texts"
        )
    given = inputs.get("texts")
    if not isinstance(given, list):
        raise ModelFailed("texts must be a list of strings", code="type-mismatch")
    texts: list[str] = []
    for position, text in enumerate(given):
        if not isinstance(text, str):
            raise ModelFailed(f"texts[{position}] is not a string", code="type-mismatch")
        texts.append(text)
    return texts


def _tokens_max(config: Mapping[str, Value]) -> int:
    if unknown := sorted(set(config) - {"max_tokens"}):
        raise ModelFailed(
            f"minilm has no setting {unknown[0]!r}", code="unknown-key", hint="it has max_tokens"
        )
    given = config.get("max_tokens", TOKENS_DEFAULT)
    if isinstance(given, bool) or not isinstance(given, int) or not 3 <= given <= TOKENS_MAX:
        raise ModelFailed(f"max_tokens must be an integer from 3 to {TOKENS_MAX}", code="type-mismatch")
    return given
