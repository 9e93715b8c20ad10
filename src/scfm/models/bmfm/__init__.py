"""BMFM-RNA: a set transformer over (gene, value) pairs with MLM, WCED and HCE objectives (arXiv 2506.14861)."""

from scfm.models.bmfm.network import Network
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import Cells, View, make_view

__all__ = ["Bmfm", "Cells", "Network", "View", "make_view"]
