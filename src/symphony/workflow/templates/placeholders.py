"""The form in which the texts of a template name a parameter. Pure."""

import re
from typing import Final

PLACEHOLDER: Final = re.compile(r"\$\[\[\s*([^\[\]]*?)\s*\]\]")
"""Finds `$[[ name ]]`; the name may be invalid."""
