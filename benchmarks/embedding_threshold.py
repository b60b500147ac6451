"""Which cosine similarity tells near-duplicate functions from others, for the model minilm?

Question: precision and recall of `vector.near_duplicates` over its threshold, when the texts are
those of `code.shapes` (or, with --raw, the source as it is). Data: functions of
this Python's standard library (5 lines of code or more, text of up to 60), sampled with a fixed seed.

- `renamed`: the same function with its parameters and local variables renamed, comments gone.
- `edited`: renamed, and a few of: docstring dropped, constants changed, a line added, a
  condition inverted, an early return added.
- `siblings`: two functions of one module (hard negatives).
- `unrelated`: every pair of sampled functions (the negatives that a search really meets).

Pairs of negatives whose texts agree by more than SAME (difflib over tokens) are real
duplicates; they count as neither.

Run: python benchmarks/embedding_threshold.py [--functions 400] [--tokens 256] [--raw]; prints a table,
then one JSON line.
"""

import argparse
import ast
import copy
import difflib
import io
import itertools
import json
import random
import sys
import sysconfig
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from symphony.kit.instruments.minilm import MiniLM
from symphony.kit.python_source import read_source
from symphony.kit.shapes import shape

SEED = 20
SAME = 0.7
THRESHOLDS = (0.80, 0.84, 0.88, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.98)
_WORDS = ("entry", "amount", "holder", "cursor", "outcome", "subject", "marker", "payload", "chunk", "state")

Vectors = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One function: the module it is from, and its text."""

    module: str
    name: str
    source: str


def functions(root: Path) -> Iterator[Sample]:
    """Functions of a middling length in the modules right below `root` and one folder down."""
    for path in sorted([*root.glob("*.py"), *root.glob("[a-z]*/*.py")]):
        if "test" in str(path.relative_to(root)) or "site-packages" in path.parts:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and _counts(node):
                source = ast.get_source_segment(text, node)
                if source is not None:
                    yield Sample(str(path.relative_to(root)), node.name, source)


def _counts(node: ast.FunctionDef) -> bool:
    return (node.end_lineno or 0) - node.lineno < 60 and len(shape(node).split("\n")) >= 5


class _Renamed(ast.NodeTransformer):
    """Gives parameters and assigned locals other names, the same one everywhere."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._names.get(node.arg, node.arg)
        node.annotation = None
        return node


class _Edited(ast.NodeTransformer):
    """Other constants, and the first condition the other way round."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._inverted = rng, False

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, int) and not isinstance(node.value, bool) and self._rng.random() < 0.5:
            return ast.Constant(node.value + self._rng.randrange(1, 9))
        if isinstance(node.value, str) and self._rng.random() < 0.3:
            return ast.Constant(node.value + " value")
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        return node

    def visit_If(self, node: ast.If) -> ast.If:
        self.generic_visit(node)
        if node.orelse and not self._inverted and self._rng.random() < 0.5:
            self._inverted = True
            return ast.If(ast.UnaryOp(ast.Not(), node.test), node.orelse, node.body)
        return node


def renamed(sample: Sample, rng: random.Random) -> str:
    """The function under another name, with its parameters and locals renamed."""
    return ast.unparse(_renamed_tree(sample, rng))


def edited(sample: Sample, rng: random.Random) -> str:
    """`renamed`, with a few small changes of the kind that copies suffer."""
    tree = _renamed_tree(sample, rng)
    node = tree.body[0]
    assert isinstance(node, ast.FunctionDef)
    if len(node.body) > 1 and ast.get_docstring(node) is not None:
        del node.body[0]
    _Edited(rng).visit(node)
    added = ast.parse(rng.choice(("logger.debug('called')", "counter += 1", "result = None", "assert True")))
    node.body.insert(rng.randrange(len(node.body)), added.body[0])
    return ast.unparse(ast.fix_missing_locations(tree))


def _renamed_tree(sample: Sample, rng: random.Random) -> ast.Module:
    tree = copy.deepcopy(ast.parse(sample.source))
    node = tree.body[0]
    assert isinstance(node, ast.FunctionDef)
    local = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)} - {"self", "cls"}
    local |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    fresh = itertools.count()
    names = {name: f"{rng.choice(_WORDS)}_{next(fresh)}" for name in sorted(local)}
    node.name = f"{rng.choice(_WORDS)}_{node.name.strip('_')[::-1][:4]}"
    changed: ast.Module = _Renamed(names).visit(tree)
    return changed


def likeness(first: str, second: str) -> float:
    """How much two texts agree, 0 to 1, by tokens."""
    return difflib.SequenceMatcher(None, _tokens(first), _tokens(second), autojunk=False).ratio()


def _tokens(source: str) -> list[str]:
    try:
        return [token.string for token in tokenize.generate_tokens(io.StringIO(source).readline)]
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return source.split()


def embedded(model: MiniLM, sources: Sequence[str], tokens: int, *, raw: bool) -> Vectors:
    """One row a function."""
    texts = (
        sources
        if raw
        else [read_source(source.encode(), shapes=True).definitions[0].shape for source in sources]
    )
    return np.array([model.embed(text, tokens_max=tokens) for text in texts])


def negatives(
    samples: Sequence[Sample], vectors: Vectors, floor: float
) -> tuple[list[float], list[float], int, int]:
    """Similarities above `floor` of unrelated pairs and of siblings, and how many pairs there were."""
    cosines = vectors @ vectors.T
    unrelated: list[float] = []
    siblings: list[float] = []
    pairs = sibling_pairs = 0
    for i, j in itertools.combinations(range(len(samples)), 2):
        together = samples[i].module == samples[j].module
        pairs += 1
        sibling_pairs += together
        if cosines[i, j] >= floor and likeness(samples[i].source, samples[j].source) <= SAME:
            unrelated.append(float(cosines[i, j]))
            if together:
                siblings.append(float(cosines[i, j]))
    return unrelated, siblings, pairs, sibling_pairs


def measure(count: int, tokens: int, *, raw: bool) -> dict[str, object]:
    """The table, a row per threshold."""
    rng = random.Random(SEED)
    every = list(functions(Path(sysconfig.get_paths()["stdlib"])))
    modules = sorted({sample.module for sample in every})
    rng.shuffle(modules)
    samples: list[Sample] = []
    for module in modules:  # up to 8 of a module, so that there are siblings
        inside = [sample for sample in every if sample.module == module]
        samples += rng.sample(inside, min(8, len(inside)))
        if len(samples) >= count:
            break
    model = MiniLM.installed()
    base = embedded(model, [s.source for s in samples], tokens, raw=raw)
    same = {
        "renamed": np.sum(
            base * embedded(model, [renamed(s, rng) for s in samples], tokens, raw=raw), axis=1
        ),
        "edited": np.sum(base * embedded(model, [edited(s, rng) for s in samples], tokens, raw=raw), axis=1),
    }
    unrelated, siblings, pairs, sibling_pairs = negatives(samples, base, min(THRESHOLDS))
    rows = [_row(t, same, unrelated, siblings, sibling_pairs, len(samples)) for t in THRESHOLDS]
    return {
        "benchmark": "embedding_threshold", "functions": len(samples), "tokens": tokens, "raw": raw,
        "pairs": pairs,        "sibling_pairs": sibling_pairs, "python": sys.version.split()[0], "rows": rows,
    }  # fmt: skip


def _row(
    threshold: float,
    same: dict[str, Vectors],
    unrelated: Sequence[float],
    siblings: Sequence[float],
    sibling_pairs: int,
    count: int,
) -> dict[str, float]:
    """`precision` is that of a search in which one function in ten has an edited copy."""
    false_pairs = sum(value >= threshold for value in unrelated)
    recall = float((same["edited"] >= threshold).mean())
    found = recall * count / 10
    return {
        "threshold": threshold,
        "recall_renamed": round(float((same["renamed"] >= threshold).mean()), 3),
        "recall_edited": round(recall, 3),
        "siblings_wrong": round(sum(value >= threshold for value in siblings) / max(1, sibling_pairs), 4),
        "false_pairs": false_pairs,
        "precision": round(found / max(found + false_pairs, 1e-9), 3),
    }


def main() -> None:
    """Print the table and its JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--functions", type=int, default=400)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--raw", action="store_true", help="embed the source as it is")
    given = parser.parse_args()
    result = measure(given.functions, given.tokens, raw=given.raw)
    rows = result["rows"]
    assert isinstance(rows, list)
    print(" ".join(f"{name:>14}" for name in rows[0]))
    for row in rows:
        print(" ".join(f"{value:>14}" for value in row.values()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
