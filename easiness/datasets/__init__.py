"""Labelled images with class names, sources and a fingerprint; one module per source, one function to open them."""

from easiness.datasets.dataset import Dataset, stratified_rows
from easiness.datasets.opening import open_dataset

__all__ = ["Dataset", "open_dataset", "stratified_rows"]
