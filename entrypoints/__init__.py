"""Entry points of the MLflow project: each parses, calls the library, logs."""

import easiness as easiness  # before anything that takes seconds: Ctrl-C then ends them quietly
