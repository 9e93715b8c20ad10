"""BMFM-RNA: a set transformer over (gene, value) pairs with MLM, WCED and HCE objectives (arXiv 2506.14861)."""
