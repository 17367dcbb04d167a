"""The artifact contract, which the README describes."""

SCHEMA = 1

# Version of the library, logged with every run.
VERSION = "0.1.0"
