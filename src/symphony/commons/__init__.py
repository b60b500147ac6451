"""Code for every part: errors, logging, settings, safe files, rules, `duck`. Knows no other part.

| module | holds |
|---|---|
| `errors` | `SymphonyError`, the root of all, and the general kinds |
| `logging` | `logger`, `log_fields`, `init_logging(LoggingConfig)` |
| `config` | `load_config`, and `load_settings` for any typed settings |
| `settings` | what may be set, as types: `Config` and its sections |
| `installation` | how Symphony is installed here, and the command that adds an extra |
| `secrets` | `Secret`: text that prints as asterisks |
| `environment` | which variables a child process inherits, and what they are to it |
| `filesystem` | durable atomic writes, paths kept inside a folder, bounded reads |
| `prevalidation` | rules that answer in microseconds, and how to combine them |
| `components` | `AsyncComponent`, `HealthStatus`, `ComponentConfig`, `RetryPolicy` |
| `time` | `SystemClock`, `new_run_id` |
| `debug` | `duck` |

Import from the modules: this package re-exports only the errors, which need nothing.
"""

from symphony.commons.errors import (
    ConfigInvalid,
    IoFailed,
    SerializationFailed,
    SymphonyError,
    ValidationFailed,
)

__all__ = ["ConfigInvalid", "IoFailed", "SerializationFailed", "SymphonyError", "ValidationFailed"]
