"""Layers of the transformers library over ragged tokens: packed, with our attention inside."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from scfm.models.attention import attend
from scfm.models.bmfm.backbones.layout import Layout, Rows

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class LibraryBlock(nn.Module):
    """One layer of the library; the batch passes through it as a single sequence in which cells do not meet."""

    layout = Layout

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, layout: Layout, rows: Rows | None = None, **given) -> Tensor:
        """[tokens, hidden] to [tokens, hidden], or to [rows, hidden]; the layer works for all tokens either way.

        Args:
            given: what else the layer takes.
        """
        x = self.layer(x[None], starts=layout.starts, longest=layout.longest, **given)[0]
        return x if rows is None else x[rows.position]


def ragged(config: "PreTrainedConfig") -> "PreTrainedConfig":
    """The same configuration, with attention within cells in place of the library's."""
    from transformers import AttentionInterface

    AttentionInterface.register("scfm_ragged", _attend)
    config._attn_implementation = "scfm_ragged"
    return config


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, *, starts: Tensor, longest: int, **given
) -> tuple[Tensor, None]:
    """Attention in the library's form: [1, heads, tokens, width] in, [1, tokens, heads, width] out.

    The layers scale by 1/√width, as ours does, and are built without dropout, window and mask: `given` holds these.
    """
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    return attend(q, k, v, starts, longest)[None], None
