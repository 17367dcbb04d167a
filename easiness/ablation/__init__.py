"""What are examples worth? Train on what is left after removing some, and compare."""
