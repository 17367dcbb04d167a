"""Training of one network with an evaluation of every training example; `engines` run many of them."""
