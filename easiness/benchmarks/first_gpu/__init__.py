"""First minutes on a machine with a GPU: whether its path computes what the eager one does, and how fast it is.

`checks`, `speed` and `photos` are what is measured, each in a process of its own; `python -m` writes one json.
"""
