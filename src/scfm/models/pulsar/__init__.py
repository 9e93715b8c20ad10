"""PULSAR: one vector a donor from the set of its frozen cell vectors (bioRxiv 2025.11.24.685470)."""
