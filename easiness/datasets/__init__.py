"""Images with labels, names of classes, sources and a fingerprint: one room for each kind of source, one door."""

from easiness.datasets.dataset import Dataset, dataset_of_folder, open_dataset, stratified_rows

__all__ = ["Dataset", "dataset_of_folder", "open_dataset", "stratified_rows"]
