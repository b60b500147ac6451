"""The kit's catalogue as JSON, for validation without the kit.

python -m symphony.kit.catalog_data            prints it
python -m symphony.kit.catalog_data --write    rewrites symphony/workflow/builtin_catalog.json
"""

import importlib.resources
import sys
from pathlib import Path

from symphony.kit import catalog
from symphony.workflow.builtin import FILE, catalog_to_json


def main(arguments: list[str]) -> int:
    """Print or write the catalogue. Returns the exit status."""
    if arguments not in ([], ["--write"]):
        sys.stderr.write("usage: python -m symphony.kit.catalog_data [--write]\n")
        return 2
    body = catalog_to_json(catalog())
    if arguments:
        Path(str(importlib.resources.files("symphony.workflow") / FILE)).write_bytes(body)
    else:
        sys.stdout.write(body.decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
