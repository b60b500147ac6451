"""The embedding model itself: its tokens, its vectors, its process.

`minilm_tokens.json`: texts of ours with the ids that another implementation of the tokenizer
(the package `tokenizers` 0.22 with the model's own settings) gives for them.
"""

import asyncio
import json
import math
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.waiting import PATIENCE_S

from symphony.kit import instruments
from symphony.kit.instruments.files import FETCH, VOCABULARY, WEIGHTS, locate, read_verified
from symphony.kit.instruments.minilm import MiniLM, quiet_onnxruntime
from symphony.kit.instruments.wordpiece import WordPiece
from symphony.pit.pool import ChildSpec, Elementwise, LocalModels
from symphony.ports.models import ModelFailed, ModelUnavailable

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return MiniLM.installed()


def pool(*, home: Path | None = None) -> LocalModels:
    spec = ChildSpec(
        argv=instruments.child_argv("minilm", home=home),
        fingerprint=instruments.fingerprint("minilm"),
        elementwise=Elementwise(*instruments.ELEMENTWISE["minilm"]),
    )
    return LocalModels({"minilm": spec})


@pytest.fixture
async def models() -> AsyncIterator[LocalModels]:
    made = pool()
    yield made
    await made.close()


def cosine(first: list[float], second: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(first, second, strict=True))


def test_tokens_are_those_that_the_model_was_trained_with() -> None:
    table = json.loads(Path(__file__).with_name("minilm_tokens.json").read_text())
    tokenizer = WordPiece.from_text(read_verified(locate(), VOCABULARY).decode())
    for text, ids in table:  # of long texts it holds the beginning
        found = [number for window in tokenizer.windows(text) for number in window[1:-1]]
        assert found[: len(ids) - 2] == ids[1:-1]
        assert len(found) == len(ids) - 2 or len(ids) == 256


def test_vectors_have_384_numbers_and_length_1(model: MiniLM) -> None:
    for text in ("", "x", "word " * 1000, "你好 🙂"):
        vector = model.embed(text)
        assert len(vector) == 384
        assert cosine(vector, vector) == pytest.approx(1.0, abs=1e-5)


def test_what_means_the_same_is_near_and_what_does_not_is_far(model: MiniLM) -> None:
    question = model.embed("How do I open a file in Python?")
    near = cosine(question, model.embed("reading files with Python's open function"))
    far = cosine(question, model.embed("The cat slept on the warm windowsill all afternoon."))
    assert near > 0.6
    assert far < 0.2


def test_a_text_has_the_same_vector_alone_and_in_company(model: MiniLM) -> None:
    texts = ["short", "a rather longer text " * 20, "short"]
    vectors = model.invoke({"texts": [*texts]}, {}, lambda: False)["vectors"]
    assert vectors == [model.embed(text) for text in texts]


def test_vectors_are_bit_for_bit_those_of_one_caller_with_two_threads_within_operators(
    model: MiniLM,
) -> None:
    """As all were made until the texts of a call were spread over threads."""
    code = Path(__file__).read_text()
    texts = ["", "short", code, *code.split("\n\n\n"), "a rather longer text " * 20, "short"]
    tokens = WordPiece.from_text(read_verified(locate(), VOCABULARY).decode())
    onnxruntime = quiet_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
    session = onnxruntime.InferenceSession(
        read_verified(locate(), WEIGHTS), options, providers=["CPUExecutionProvider"]
    )

    def before(text: str) -> list[float]:
        windows, total = tokens.windows(text, tokens_max=256), np.zeros(384)
        for window in windows:
            ids = np.array([window], dtype=np.int64)
            feeds = {
                "input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)
            }  # fmt: skip
            total += session.run(["last_hidden_state"], feeds)[0][0].sum(axis=0, dtype=np.float64)
        pooled = total / sum(map(len, windows))
        unit = pooled / max(float(np.linalg.norm(pooled)), 1e-12)
        return [float(number) for number in unit.round(7)]

    expected = [before(text) for text in texts]
    for threads in (1, 2):
        some = MiniLM(locate(), threads=threads)
        assert some.invoke({"texts": [*texts]}, {}, lambda: False) == {"vectors": expected}
    for text, vector in zip(texts, expected, strict=True):
        assert model.invoke({"texts": [text]}, {}, lambda: False) == {"vectors": [vector]}


def test_a_cancelled_call_embeds_no_further_text(model: MiniLM) -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    assert len(model.invoke({"texts": ["one"] * 100}, {}, cancelled)["vectors"]) == 3  # type: ignore[arg-type]
    assert model.invoke({"texts": ["one"]}, {}, lambda: True) == {"vectors": []}


@pytest.mark.parametrize(
    ("inputs", "config", "code"),
    [
        ({}, {}, "type-mismatch"),
        ({"texts": "no list"}, {}, "type-mismatch"),
        ({"texts": ["a", None]}, {}, "type-mismatch"),
        ({"texts": ["a"], "other": 1}, {}, "unknown-port"),
        ({"texts": ["a"]}, {"max_tokens": 2}, "type-mismatch"),
        ({"texts": ["a"]}, {"max_tokens": True}, "type-mismatch"),
        ({"texts": ["a"]}, {"temperature": 1}, "unknown-key"),
    ],
)
def test_wrong_inputs_are_refused(
    model: MiniLM, inputs: dict[str, object], config: dict[str, object], code: str
) -> None:
    with pytest.raises(ModelFailed) as caught:
        model.invoke(inputs, config, lambda: False)  # type: ignore[arg-type]
    assert caught.value.code == code


async def test_through_its_process_the_vectors_are_the_same(models: LocalModels, model: MiniLM) -> None:
    texts = [f"text number {i}" for i in range(70)]
    answer = await models.invoke("minilm", {"texts": [*texts]}, {"max_tokens": 64})
    assert answer["vectors"] == [model.embed(text, tokens_max=64) for text in texts]


async def test_a_cancelled_call_makes_room_within_one_text(models: LocalModels) -> None:
    await models.invoke("minilm", {"texts": ["warm"]}, {})
    pid = models.pids()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await models.invoke("minilm", {"texts": ["long text " * 200] * 5000}, {})
        await models.invoke("minilm", {"texts": ["next"]}, {})
    assert models.pids() == pid


async def test_a_damaged_model_is_refused_with_the_command_that_repairs_it(tmp_path: Path) -> None:
    place = tmp_path / "models" / "minilm"
    place.mkdir(parents=True)
    for file in (WEIGHTS, VOCABULARY):
        shutil.copy(locate() / file.name, place)
    with (place / "model.onnx").open("r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"broken")
    models = pool(home=tmp_path)
    with pytest.raises(ModelUnavailable, match=r"model\.onnx is damaged") as caught:
        await models.invoke("minilm", {"texts": ["a"]}, {})
    assert caught.value.hint == f"fetch it again: {FETCH} --to {place}"
    await models.close()


async def test_modules_in_the_working_directory_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(instruments.__file__).parents[3]))
    models = pool()
    assert len((await models.invoke("minilm", {"texts": ["a"]}, {}))["vectors"]) == 1  # type: ignore[arg-type]
    await models.close()


async def test_unknown_arguments_are_refused() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "symphony.kit.instruments.minilm_child",
        "--what",
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await child.communicate()
    assert child.returncode == 2
    assert b"usage" in said


def test_texts_that_differ_only_after_the_first_window_have_different_vectors(model: MiniLM) -> None:
    head = "value = compute(first, second, third)\n" * 60
    first, second = model.embed(head + "return value"), model.embed(head + "raise LookupError(name)")
    assert 0.9 < cosine(first, second) < 0.9999
    assert first == model.embed(head + "return value")
