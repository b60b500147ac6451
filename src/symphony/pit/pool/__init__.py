"""The pool: models kept in supervised processes of their own."""

from symphony.pit.pool.core.budget import PoolBudget, PoolPolicy
from symphony.pit.pool.core.splitting import ChildSpec, Elementwise
from symphony.pit.pool.local import LocalModels
from symphony.pit.pool.memory import memory_here

__all__ = ["ChildSpec", "Elementwise", "LocalModels", "PoolBudget", "PoolPolicy", "memory_here"]
