"""What observers hear of the pool, made of what its machine decides."""

from symphony.pit.pool.core.actions import CountPrewarm, LoseLease, PoolAction
from symphony.pit.pool.core.lifecycle import PhaseChanged
from symphony.ports.pool import LeaseLost, ModelChanged, ModelPrewarmed, PoolEvent


def event_of(action: PoolAction, bytes_now: int, at_s: float) -> PoolEvent | None:
    """Return the event that observers hear of; None for what is only for the shell.

    `bytes_now`: for how much the model counts. `at_s`: seconds since the Unix epoch.
    """
    match action:
        case PhaseChanged():
            return ModelChanged(
                model=action.model,
                before=action.before,
                after=action.after,
                reason=action.reason,
                lasted_s=action.lasted_s,
                bytes=bytes_now,
                at_s=at_s,
            )
        case LoseLease():
            return LeaseLost(
                model=action.model, lease=action.lease, run=action.run, reason=action.reason, at_s=at_s
            )
        case CountPrewarm():
            return ModelPrewarmed(model=action.model, outcome=action.outcome, at_s=at_s)
        case _:
            return None
