"""Digests of the code that a Python file runs: itself and what it imports.

The user's own files count by their content, wherever they are; installed libraries by their version,
and the standard library by Python's.
"""

import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

from symphony.commons.time import SystemClock
from symphony.sdk.imports import Imports, imports_of

FILES_MAX: Final = 1_000
_WORD: Final = 0xFFFF_FFFF
_BEGAN_S: Final = SystemClock().now_s()
_PACKAGE: Final = Path(__file__).parents[1]
_PARTS: Final = ("commons", "kit", "ports", "sdk", "workflow")
"""The folders of the operators that ship with Symphony."""


class Walk:
    """Follows imports from one file.

    `absent` names were found nowhere; if they appear later, the digest changes. `modules` are those of
    the user's own that were met, with the digests of their files. `environment`: one of the files has
    this word, as any reader of a Context's environment must. `loaded`: the digest is of the code that
    this process has loaded. A file that changed since the process began may have been loaded before or
    after that, so that what was made with it counts for this process alone.
    """

    def __init__(self, *, loaded: bool) -> None:
        self._loaded = loaded
        self.files: dict[str, str] = {}
        self.libraries: dict[str, str] = {}
        self.absent: set[str] = set()
        self.known = True
        self.environment = self._searches = self._young = False
        self.modules: dict[str, str] = {}
        self._tops: dict[str, ModuleSpec] = {}

    def add(self, file: str, source: bytes, package: str, *, remembered: bool = True) -> None:
        """Add a file and all that it imports; `remembered`: `source` is certainly what was loaded."""
        if not remembered:
            try:
                self._note_age(Path(file))
            except OSError:  # deleted since it was read
                self._young = True
        waiting = [(file, source, package)]
        while waiting and self.known:
            file, source, package = waiting.pop()
            self.files[file] = hashlib.sha256(source).hexdigest()
            imports = _imports(source, package)
            self.known &= not imports.dynamic and len(self.files) < FILES_MAX
            self._searches |= imports.searches
            self.environment |= b"environment" in source
            for name in sorted(imports.modules):
                waiting += self._module(name, Path(file).parent)
        self.known &= not (self.absent and self._searches)

    def digest(self) -> str | None:
        """Return one digest of all of it; None if only running it tells what it imports."""
        if not self.known:
            return None
        told = [sorted(self.files.values()), sorted(self.libraries.items()), sorted(self.absent)]
        if self._young:
            told.append([f"{os.getpid()} since {_BEGAN_S}"])
        return hashlib.sha256(repr((sys.implementation.cache_tag, told)).encode()).hexdigest()

    def unchanged(self) -> bool:
        """True if the imported files have the same content as before."""
        try:
            return all(
                hashlib.sha256(Path(file).read_bytes()).hexdigest() == digest
                for file, digest in list(self.files.items())[1:]
            )
        except OSError:
            return False

    def _module(self, name: str, beside: Path) -> Iterator[tuple[str, bytes, str]]:
        """Yield the files of a module and of the packages around it that were not met before."""
        search: list[str] | None = None
        parts = name.removesuffix(".*").split(".")
        for at in range(1, len(parts) + 1):
            full = ".".join(parts[:at])
            spec = self._tops.get(full) or _found(full, search)
            if spec is None and at == 1:
                spec = _beside(full, beside)
            if spec is None:
                if at == 1:
                    self.absent.add(full)
                return  # an attribute of a module found before
            if at == 1:
                self._tops[full] = spec
            if at == 1 and (library := _library(full, spec)) is not None:
                self.libraries.update([library] if library[1] else [])
                return
            yield from self._unmet(full, spec)
            if spec.submodule_search_locations is None:
                return
            search = list(spec.submodule_search_locations)
        if name.endswith(".*"):
            for folder in search or ():
                for file in sorted(Path(folder).glob("*.py")):
                    yield from self._module(f"{name[:-2]}.{file.stem}", beside)

    def _note_age(self, file: Path) -> None:
        """Remember if `file` changed since this process began. Raises OSError."""
        if self._loaded:
            status = file.stat()
            self._young |= max(status.st_mtime, status.st_ctime) >= _BEGAN_S

    def _unmet(self, full: str, spec: ModuleSpec) -> Iterator[tuple[str, bytes, str]]:
        if full in self.modules or spec.origin is None:
            return
        file = _existing(Path(spec.origin))
        if file is None or str(file) in self.files:
            return
        try:
            source = file.read_bytes()
            self._note_age(file)
            if _drop_stale_bytecode(file) and self._loaded and full in sys.modules:
                self.known = False  # the old code may have been loaded
        except OSError:
            self.known = False
            return
        self.modules[full] = hashlib.sha256(source).hexdigest()
        package = full if spec.submodule_search_locations is not None else full.rpartition(".")[0]
        yield str(file), source, package


@functools.lru_cache(maxsize=FILES_MAX)
def _imports(source: bytes, package: str) -> Imports:
    return imports_of(source, package)


def _drop_stale_bytecode(file: Path) -> bool:
    """Remove compiled code that is older than its source and that Python would use anyway.

    Python compares whole seconds and sizes, so that it misses a change within the second of the first
    import. True if there was such code.
    """
    with contextlib.suppress(OSError, NotImplementedError, ValueError):
        compiled, status = Path(importlib.util.cache_from_source(str(file))), file.stat()
        with compiled.open("rb") as body:
            head = body.read(16)
        flags, seconds, size = (int.from_bytes(head[at : at + 4], "little") for at in (4, 8, 12))
        taken = not flags and (seconds, size) == (int(status.st_mtime) & _WORD, status.st_size & _WORD)
        if taken and compiled.stat().st_mtime_ns < status.st_mtime_ns:
            compiled.unlink()
            return True
    return False


def _existing(origin: Path) -> Path | None:
    """Return the file, or the archive that it lies in."""
    return next((place for place in (origin, *origin.parents) if place.is_file()), None)


def _found(full: str, search: list[str] | None) -> ModuleSpec | None:
    """Return the module that is loaded, or that would be; nothing is imported."""
    loaded = sys.modules.get(full)
    spec: object = getattr(loaded, "__spec__", None)
    if isinstance(spec, ModuleSpec) and spec.origin is not None:
        return spec
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        with contextlib.suppress(Exception):  # finders may be third-party
            spec = None if find is None else find(full, search)
            if isinstance(spec, ModuleSpec):
                return spec
    # Python's own finder finds folders without `__init__.py` only below what is imported.
    return _plain_folder(full, [Path(folder) / full.rpartition(".")[2] for folder in search or ()])


def _plain_folder(full: str, places: list[Path]) -> ModuleSpec | None:
    """Return a package without `__init__.py`."""
    spec = ModuleSpec(full, None, is_package=True)
    spec.submodule_search_locations = [str(place) for place in places if place.is_dir()]
    return spec if spec.submodule_search_locations else None


def _beside(full: str, folder: Path) -> ModuleSpec | None:
    """Return a module in the folder of the file that imports it, should a path lead there later."""
    for place, inner in (
        (folder / f"{full}.py", None),
        (folder / full / "__init__.py", [str(folder / full)]),
    ):
        if place.is_file():
            return importlib.util.spec_from_file_location(full, place, submodule_search_locations=inner)
    return _plain_folder(full, [folder / full])


# ---- libraries ----------------------------------------------------------------------------


def _library(top: str, spec: ModuleSpec) -> tuple[str, str] | None:
    """Return an installed module's name and version; the version is empty for Python's own and Symphony's."""
    if spec.origin in ("built-in", "frozen"):
        return top, ""
    places = [spec.origin] if spec.origin is not None else list(spec.submodule_search_locations or ())
    if all(Path(place).is_relative_to(_PACKAGE) for place in places):
        return top, ""
    installed, standard = _roots()
    if any(Path(place).is_relative_to(root) for root in installed for place in places):
        return top, _version(top, spec)
    if any(Path(place).is_relative_to(root) for root in standard for place in places):
        return top, ""
    return None


@functools.cache
def _roots() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return where libraries are installed, and where Python's own are."""
    paths = sysconfig.get_paths()
    installed = {paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()}
    installed |= {entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    standard = {
        paths["stdlib"],
        paths["platstdlib"],
        sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}),
    }
    return tuple(installed), tuple(standard)


def _version(top: str, spec: ModuleSpec) -> str:
    """Return the version of the distribution with the module `top`, from folder names where they suffice."""
    versions = _versions()
    for name in (_normal(top), *_named_inside(top)):
        if name in versions:
            return f"{name} {versions[name]} {_record(_infos()[name])}"
    import importlib.metadata

    names = sorted(set(_distributions().get(top, ())))
    if names:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    file = None if spec.origin is None else _existing(Path(spec.origin))
    return "unknown" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


@functools.cache
def _record(folder: Path) -> str:
    """Return a digest of the list of installed files with their digests: two builds may share a version."""
    try:
        return hashlib.sha256((folder / "RECORD").read_bytes()).hexdigest()
    except OSError:
        return ""


@functools.cache
def _infos() -> dict[str, Path]:
    """Return the folders that describe what is installed, by the name of the distribution."""
    found: dict[str, Path] = {}
    for entry in dict.fromkeys(sys.path):
        for folder in Path(entry or ".").glob("*.dist-info"):
            found.setdefault(_normal(folder.name.partition("-")[0]), folder)
    return found


@functools.cache
def _versions() -> dict[str, str]:
    return {name: folder.stem.partition("-")[2] for name, folder in _infos().items()}


@functools.cache
def _named_inside(top: str) -> tuple[str, ...]:
    """Return the distributions that say they bring the module `top`."""
    found = []
    for name, folder in _infos().items():
        try:
            said = (folder / "top_level.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found += [name] if top in said.split() else []
    return tuple(found)


@functools.cache
def _distributions() -> dict[str, list[str]]:
    """Return the distributions by module. Slow: reads every list of installed files."""
    import importlib.metadata

    return dict(importlib.metadata.packages_distributions())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


# ---- Symphony itself ----------------------------------------------------------------------


@functools.cache
def ships(file: str) -> bool:
    """True if the file ships with Symphony."""
    return Path(file).is_relative_to(_PACKAGE)


@functools.cache
def own_digest() -> str:
    """Return what the operators that ship with Symphony are made of, and the libraries they use."""
    digest = hashlib.sha256(str(sys.implementation.cache_tag).encode())
    for part in _PARTS:
        for file in sorted((_PACKAGE / part).rglob("*.py")):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    versions = _versions()
    digest.update(repr([(name, versions.get(_normal(name))) for name in REQUIREMENTS]).encode())
    return digest.hexdigest()


REQUIREMENTS: Final = (
    "cel-expr-python", "click", "cryptography", "httpx2", "jinja2", "jmespath", "markdown-it-py", "msgspec",
    "numpy", "onnxruntime", "platformdirs", "psutil", "pyfastcdc", "pyyaml", "regex", "structlog", "tantivy",
    "tomli-w", "uvloop", "zstandard",
)  # fmt: skip
"""The libraries that Symphony requires; a test compares them with `pyproject.toml`."""
