"""A score run: M trials, their mean loss, and what is logged of it."""
