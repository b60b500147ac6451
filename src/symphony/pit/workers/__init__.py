"""Operators in supervised processes of their own: on several cores, ended at any moment."""

from symphony.pit.workers.pool import Task, Workers, cores
from symphony.pit.workers.printed import Output
from symphony.pit.workers.worker import WorkerDied

__all__ = ["Output", "Task", "WorkerDied", "Workers", "cores"]
