"""One training of a network, with the evaluation of every training example; many of them in `engines`."""
