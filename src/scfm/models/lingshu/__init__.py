"""Lingshu-Cell: masked discrete diffusion over count tokens of all genes (arXiv 2603.25240)."""
