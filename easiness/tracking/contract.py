"""The artifact contract, which the README describes."""

SCHEMA = 1
