"""Labelled images with class names, sources and a fingerprint; one module per source, one function to open them."""

from easiness.datasets.dataset import Dataset, dataset_of_folder, open_dataset, stratified_rows

__all__ = ["Dataset", "dataset_of_folder", "open_dataset", "stratified_rows"]
