"""The way Symphony is installed, and the command that adds an extra to this installation.

The commands name the libraries that an extra stands for, never Symphony itself: the name `symphony` on
the public package index belongs to another project, and a wheel may come from anywhere.
"""

import importlib.util
import shlex
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

DISTRIBUTION: Final = "symphony-workflows"
EXTRAS: Final[Mapping[str, Sequence[str]]] = {
    "llama": ("xllamacpp>=2026.1",),
    "nats": ("nats-py>=2.10",),
    "objects": ("obstore>=0.10",),
    "otel": ("opentelemetry-exporter-otlp-proto-http>=1.30", "opentelemetry-sdk>=1.30"),
    "parquet": ("pyarrow>=18",),
}
"""The libraries that each extra requires; a test compares them with `pyproject.toml`."""

_SOURCES: Final = ("path", "directory", "editable")


class Installation(msgspec.Struct, frozen=True):
    """A Python environment, the program that runs in it, and the folder that holds the package `symphony`."""

    prefix: Path
    python: Path
    library: Path
    has_pip: bool = True

    @classmethod
    def here(cls) -> "Installation":
        """Return the one that runs this program."""
        return cls(
            prefix=Path(sys.prefix),
            python=Path(sys.executable),
            library=Path(__file__).parents[2],
            has_pip=importlib.util.find_spec("pip") is not None,
        )

    def adding(self, extra: str) -> str:
        """Return the shell command that adds the extra, `llama` for instance, to this installation."""
        if (checkout := self._checkout()) is not None:
            return _make(checkout, self.prefix.name, extra)
        return self.adding_libraries(EXTRAS[extra])

    def adding_libraries(self, wanted: Sequence[str]) -> str:
        """Return the shell command that adds libraries; each is a name, with or without bounds of its
        version.
        """
        if (self.prefix / "pipx_metadata.json").is_file():
            return shlex.join(("pipx", "inject", self.prefix.name, *wanted))
        if (receipt := self.prefix / "uv-receipt.toml").is_file() and (tool := _uv_tool(receipt)):
            source, others = tool
            return shlex.join(("uv", "tool", "install", *_with(others), *_with(wanted), source))
        install = shlex.join((str(self.python), "-m", "pip", "install", *wanted))
        if self.has_pip:
            return install
        if shutil.which("uv"):
            return shlex.join(("uv", "pip", "install", "--python", str(self.python), *wanted))
        return f"{self.adding_pip()} && {install}"

    def adding_pip(self) -> str:
        """Return the shell command that gives this installation pip, which it does not have."""
        return shlex.join((str(self.python), "-m", "ensurepip"))

    def _checkout(self) -> Path | None:
        """Return the checkout whose own environment this is, which its Makefile sets up."""
        checkout = self.library.parent
        own = self.library.name == "src" and self.prefix.parent == checkout
        return checkout if own and (checkout / "Makefile").is_file() else None


def adding(extra: str) -> str:
    """Return the shell command that adds an extra, such as `llama`, to the installation that runs this."""
    return Installation.here().adding(extra)


def _make(checkout: Path, environment: str, target: str) -> str:
    words = ["make"]
    if not _is_current(checkout):
        words += ["-C", str(checkout)]
    if environment != ".venv":
        words.append(f"VENV={environment}")
    return shlex.join((*words, target))


def _is_current(folder: Path) -> bool:
    try:
        return Path.cwd() == folder
    except OSError:  # the current folder has been deleted
        return False


def _with(libraries: Sequence[str]) -> list[str]:
    return [word for library in libraries for word in ("--with", library)]


def _uv_tool(receipt: Path) -> tuple[str, list[str]] | None:
    """Return the file or folder that `uv tool` installed Symphony from, if it is still there, and what
    it added.

    None where that cannot be said again in one command.
    """
    try:
        found = tomllib.loads(receipt.read_text(encoding="utf-8"))["tool"]["requirements"]
        source = next(
            one[key] for one in found if one["name"] == DISTRIBUTION for key in _SOURCES if key in one
        )
        others = [one for one in found if one["name"] != DISTRIBUTION]
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return None
    if not Path(source).exists() or any(set(one) - {"name", "specifier"} for one in others):
        return None
    return source, [one["name"] + one.get("specifier", "") for one in others]
