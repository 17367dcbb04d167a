"""First minutes on a machine with a GPU: whether its path computes what the eager one does, and how fast it is.

`parts` are what is measured, `guard` runs each in a process of its own, `python -m` this package writes one json.
"""
