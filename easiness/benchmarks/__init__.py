"""Speed beside what a user would otherwise write: one module times one thing, `run` runs and logs them."""
