"""Generated cells beside real ones, for any system that draws cells: what they keep of the law of the real ones.

`compare` gives all metrics. Means of genes alone say little: independent genes reach them.
"""

from scfm.generation.evaluate import METRICS, compare

__all__ = ["METRICS", "compare"]
