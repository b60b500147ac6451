"""Child processes under supervision: begun, watched, ended in order, started again after a while."""

from symphony.pit.processes.restarts import Restarts
from symphony.pit.processes.supervised import SupervisedProcess

__all__ = ["Restarts", "SupervisedProcess"]
