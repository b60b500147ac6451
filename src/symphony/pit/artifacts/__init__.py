"""Artifacts: stored bodies, the cache of results, the bytes of values, and secrets kept out of them.

Names load on first use, so that using only the codec does not import SQLite.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.pit.artifacts.cache.result_cache import ResultCache
    from symphony.pit.artifacts.cache.results import CacheEntry, CacheSize
    from symphony.pit.artifacts.store.files import FileArtifacts
    from symphony.pit.artifacts.store.memory import MemoryArtifacts
    from symphony.ports.artifacts import Collected

_MODULES = {
    "CacheEntry": "cache.results",
    "CacheSize": "cache.results",
    "Collected": "store.files",
    "FileArtifacts": "store.files",
    "MemoryArtifacts": "store.memory",
    "ResultCache": "cache.result_cache",
}

__all__ = [
    "CacheEntry",
    "CacheSize",
    "Collected",
    "FileArtifacts",
    "MemoryArtifacts",
    "ResultCache",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
