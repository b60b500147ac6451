"""Runs the benchmarks one after the other, each in its own process, and writes their part of RESULTS.md.

Question: which budgets hold on this machine? Size and budget are each benchmark's own. It prints
the JSON line of each; its exit status is 1 if a benchmark broke, and 0 even if a budget is
missed: the table says so, and a shared machine may be the reason.

Run: python benchmarks/run.py [NAME ...]; without names, all of them. RESULTS.md is written only then.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # beside `python -P`

import results as files  # noqa: E402

ALL = (
    "validation", "engine", "effects", "small_runs", "memory", "startup", "embedding", "artifacts",
    "artifact_search", "artifact_scale", "ipc",
    "kit", "bus", "bus_peers", "bus_nats", "sync", "spawning", "growth", "pool", "pool_shared", "pool_trace",
)  # fmt: skip
LIMIT_S = 300
_UNITS = ("ms", "s", "us", "bytes")

Figures = Sequence[Mapping[str, object]]


def measured(name: str) -> str | None:
    """The JSON line that a benchmark prints last, or None if it broke."""
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py")],
            check=False,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return None
    lines = done.stdout.strip().splitlines()
    return lines[-1] if done.returncode == 0 and lines else None


def figures_of(found: Mapping[str, object]) -> Figures:
    """The figures of a benchmark's line, also of one with `budget` by key, or `median_ms` and `budget_ms`."""
    figures = found.get("figures")
    if isinstance(figures, list):
        return figures
    medians, most = found.get("median_ms"), found.get("budget_ms")
    if isinstance(medians, dict):
        given = most if isinstance(most, dict) else {}
        return [
            {"what": key.replace("_", " "), "measured": value, "unit": "ms", "budget": given.get(key)}
            for key, value in medians.items()
        ]
    budgets = found.get("budget")
    limits = budgets if isinstance(budgets, dict) else {}
    out = []
    for key, value in found.items():
        stem, _, unit = key.rpartition("_")
        if isinstance(value, int | float):
            known = unit in _UNITS
            out.append(
                {
                    "what": (stem if known else key).replace("_", " "),
                    "measured": value,
                    "unit": unit if known else "",
                    "budget": limits.get(key),
                }
            )
    return out


def number(value: object) -> float | None:
    """A number, or None for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def shown(value: object, unit: object = "") -> str:
    """Three digits that matter, with the unit."""
    found = number(value)
    if found is None:
        return "–"
    text = f"{found:,.0f}" if abs(found) >= 100 else f"{found:.3g}"
    return f"{text} {unit}".strip()


def ratio(measured: object, other: object) -> str:
    """How many times `other` the measured is."""
    first, second = number(measured), number(other)
    return "–" if first is None or not second else f"{first / second:.2f}"


def table(figures: Figures) -> list[str]:
    """The Markdown table of one benchmark."""
    out = [
        "| what | budget | design | measured | of budget | peer | of peer | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for one in figures:
        unit, value = one["unit"], one["measured"]
        cells = [
            str(one["what"]),
            shown(one.get("budget"), unit),
            shown(one.get("design"), unit),
            shown(value, unit),
            ratio(value, one.get("budget")),
            shown(one.get("peer"), unit),
            ratio(value, one.get("peer")),
            verdict(one),
        ]
        out.append(f"| {' | '.join(cells)} |")
    return out


def verdict(figure: Mapping[str, object]) -> str:
    """`holds`, `**missed**`, or nothing where there is no budget."""
    budget, value = number(figure.get("budget")), number(figure["measured"])
    if budget is None or value is None:
        return ""
    return "holds" if value <= budget else "**missed**"


def misses(results: Mapping[str, Mapping[str, object]]) -> list[str]:
    """One line for each budget that does not hold."""
    return [
        f"- {name}: {one['what']}: {shown(one['measured'], one['unit'])},"
        f" budget {shown(one['budget'], one['unit'])} ({ratio(one['measured'], one['budget'])} times)"
        for name, found in results.items()
        for one in figures_of(found)
        if verdict(one) == "**missed**"
    ]


def report(results: Mapping[str, Mapping[str, object]], broken: Sequence[str], about: Sequence[str]) -> str:
    """The part of RESULTS.md that is written here."""
    missed = misses(results)
    out = ["Written by `make bench`.", "", *about, "", "## Misses", ""]
    out += missed or ["None."]
    if broken:
        out += ["", "## Without a result", "", *(f"- {name}" for name in broken)]
    for name, found in results.items():
        out += ["", f"## {name}", ""]
        if isinstance(found.get("size"), str):
            out += [f"Size: {found['size']}.", ""]
        out += table(figures_of(found))
    return "\n".join(out)


def main(names: Sequence[str]) -> int:
    """Run them, print, write."""
    results: dict[str, Mapping[str, object]] = {}
    broken = []
    for name in names or [one for one in ALL if (HERE / f"{one}.py").exists()]:
        found = measured(name)
        if found is None:
            broken.append(name)
            print(f"{name}: no result", file=sys.stderr)
            continue
        print(found, flush=True)
        results[name] = json.loads(found)
    if not names:
        files.write(files.OURS, report(results, broken, files.machine()))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
