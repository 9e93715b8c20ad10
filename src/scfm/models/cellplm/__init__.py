"""CellPLM: cells as tokens and tissues as sentences, read by linear attention (Wen et al., ICLR 2024)."""
