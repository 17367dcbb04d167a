"""An ablate run: train on what is left after removing examples, and compare."""
