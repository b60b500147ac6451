"""One module per seam: a Protocol, its value types and its errors. No input or output.

A seam is here because there is something on both sides of it: `artifacts`, `models`, `arbiter`,
`clock`, `runs` and `values` between the parts of the pit; `editing`, `pit`, `extensions`, `conductor`,
`data` and `prevalidation` between the pit and what surrounds it.
"""
