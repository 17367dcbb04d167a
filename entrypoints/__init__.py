"""Entry points of the MLflow project: each parses, calls the library, logs."""
