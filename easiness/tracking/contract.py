"""The artifact contract, which docs/contract.md describes."""

SCHEMA = 1

# Version of the library, logged with every run.
VERSION = "0.1.0"
