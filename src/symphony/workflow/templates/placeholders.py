"""How a parameter is named in the texts of a template. Pure."""

import re
from typing import Final

PLACEHOLDER: Final = re.compile(r"\$\[\[\s*([^\[\]]*?)\s*\]\]")
"""`$[[ name ]]`; the name may be wrong."""
