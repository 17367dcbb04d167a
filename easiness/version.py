"""Version of the library, logged with every run."""

VERSION = "0.1.0"
