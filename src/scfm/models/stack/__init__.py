"""STACK: cells of a sample as a table of gene modules, read along both axes (bioRxiv 2026.01.09.698608)."""
