"""From runs on a tracking server to a page, with its figures, tables and a manifest of what it was made from."""
