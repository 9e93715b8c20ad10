"""The systems of the study: one folder each, with its network and its loss; no files, no studies."""
