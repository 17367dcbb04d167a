"""How a network is trained: the recipe, its schedule and its randomness, and the paper's runs and numbers."""
