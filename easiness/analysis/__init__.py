"""Arrays of losses to scores, sets, rates, intervals and lists of removed examples; never torch."""
