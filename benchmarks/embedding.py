"""What does a vector of the model minilm cost, and what does its process cost to start?

Question: milliseconds per short sentence and per function (as `code.shapes` gives it, at most
256 tokens) of a list, in this process and through the supervised one, beside what a loop over bare
onnxruntime with its own threads takes for the same tokens, in turn with ours; seconds from the first
call to its answer. Size: 100 sentences of 12 words, 100 functions of the standard library. Budget: 10 ms a
sentence, 40 ms a function, 2 s to start; the process adds at most 15 %.

Run: python benchmarks/embedding.py; prints one JSON line.
"""

import asyncio
import json
import random
import statistics
import sysconfig
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from measuring import seconds

from symphony.kit import instruments
from symphony.kit.instruments.files import VOCABULARY, WEIGHTS, locate, read_verified
from symphony.kit.instruments.minilm import MiniLM, default_threads, quiet_onnxruntime
from symphony.kit.instruments.wordpiece import WordPiece
from symphony.kit.python_source import SourceProblem, read_source
from symphony.pit.pool import ChildSpec, Elementwise, LocalModels
from symphony.ports.values import Value

COUNT = 100
ROUNDS = 5
_WORDS = ("time", "year", "people", "way", "day", "man", "thing", "life", "child", "world", "school", "state")


def sentences() -> list[str]:
    """Twelve common words each."""
    rng = random.Random(7)
    return [" ".join(rng.choices(_WORDS, k=12)) + "." for _ in range(COUNT)]


def functions() -> list[str]:
    """Shapes of functions of 5 lines and more."""
    found: list[str] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        try:
            module = read_source(path.read_bytes(), shapes=True)
        except SourceProblem:
            continue
        found += [d.shape for d in module.definitions if d.kind != "class" and d.end_line - d.line >= 4]
    return random.Random(7).sample(found, COUNT)


def each_ms(texts: list[str], call: Callable[[], object]) -> float:
    """Milliseconds a text of one call with all of them."""
    return seconds(call) / len(texts) * 1000


def bare(texts: list[str]) -> Callable[[], None]:
    """onnxruntime alone, with as many threads within operators as it takes; the tokens are there already."""
    tokens = WordPiece.from_text(read_verified(locate(), VOCABULARY).decode())
    session = quiet_onnxruntime().InferenceSession(
        read_verified(locate(), WEIGHTS), providers=["CPUExecutionProvider"]
    )
    given = [np.array([tokens.windows(text)[0]], dtype=np.int64) for text in texts]

    def run() -> None:
        for ids in given:
            feeds = {
                "input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)
            }  # fmt: skip
            session.run(["last_hidden_state"], feeds)

    return run


async def supervised(texts: list[str]) -> tuple[float, float]:
    """Seconds to the first answer, milliseconds a text after that."""
    spec = ChildSpec(
        argv=instruments.child_argv("minilm"),
        fingerprint=instruments.fingerprint("minilm"),
        elementwise=Elementwise(*instruments.ELEMENTWISE["minilm"]),
    )
    models = LocalModels({"minilm": spec})
    try:
        started = perf_counter()
        await models.invoke("minilm", {"texts": ["first"]}, {})
        first_s = perf_counter() - started
        given: list[Value] = [*texts]
        started = perf_counter()
        await models.invoke("minilm", {"texts": given}, {})
        return first_s, (perf_counter() - started) / len(texts) * 1000
    finally:
        await models.close()


def main() -> None:
    """Measure and print."""
    model = MiniLM.installed()
    lines, code = sentences(), functions()
    model.embed(lines[0])
    alone = bare(code)
    rounds = [
        (
            each_ms(lines, lambda: model.invoke({"texts": [*lines]}, {}, lambda: False)),
            each_ms(code, lambda: model.invoke({"texts": [*code]}, {}, lambda: False)),
            each_ms(code, alone),
        )
        for _ in range(ROUNDS)
    ]
    sentence_ms, function_ms, bare_ms = (statistics.median(column) for column in zip(*rounds, strict=True))
    first_s, process_ms = asyncio.run(supervised(code))
    result = {
        "benchmark": "embedding",
        "threads": default_threads(),
        "sentence_ms": round(sentence_ms, 2),
        "function_ms": round(function_ms, 2),
        "function_ms_bare_onnxruntime": round(bare_ms, 2),
        "function_ms_through_process": round(process_ms, 2),
        "first_answer_s": round(first_s, 2),
        "budget": {"sentence_ms": 10, "function_ms": 40, "first_answer_s": 2},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
