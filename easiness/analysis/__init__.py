"""Scores, sets, overlaps, intervals and removals from arrays of losses; never torch."""
