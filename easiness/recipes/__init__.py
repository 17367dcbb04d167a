"""How a network is trained: the recipe, its schedule and its randomness, and the runs of the paper."""
