"""Runs on the tracking server: options, trials, progress, pages; and score, match and ablate."""
