"""Transformer blocks over ragged tokens, one file each; `scfm.models.bmfm.encoder` stacks them."""
