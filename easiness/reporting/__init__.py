"""From runs on a tracking server to a page, with its figures, tables and a manifest of what it was made from."""

from easiness.reporting.assembly import Report, assemble
from easiness.reporting.writing import write_report

__all__ = ["Report", "assemble", "write_report"]
