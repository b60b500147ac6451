"""The pool: models kept in supervised processes of their own."""

from symphony.pit.pool.core.splitting import ChildSpec, Elementwise
from symphony.pit.pool.local import LocalModels

__all__ = ["ChildSpec", "Elementwise", "LocalModels"]
