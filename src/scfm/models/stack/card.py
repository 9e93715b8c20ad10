"""What the model card says of a STACK model."""

from scfm.models.description import Description
from scfm.models.stack.settings import Prompt, Stack, Transformer

LOSSES = {
    "masked": "mean negative log-likelihood of hidden counts, negative binomial",
    "sliced": "sliced Wasserstein distance of the cell vectors from a standard normal law",
    "expression": "energy distance between rewritten and true cells in expression",
    "embedding": "energy distance between their vectors and those of the teacher",
    "query": "cross-entropy of which rows are to be rewritten",
}


def describe(settings: Stack) -> Description:
    """Hidden genes or prompts, and the table of cells and modules."""
    sizes, prompt, published = settings.transformer, settings.prompt, Transformer()
    masking = prompt.masking if prompt else settings.masking
    return Description(
        what="A transformer on samples, read as tables of cells and gene modules (STACK)",
        tags=("stack",),
        objectives=(
            f"Hidden genes: a share between {masking.least:g} and {masking.most:g} of the genes is hidden in all cells "
            "of a batch, and their counts are predicted.",
            *_prompted(prompt),
        ),
        architecture=(
            f"A cell is {sizes.modules} modules, each {sizes.width} wide; layers: {sizes.layers}, attention heads "
            f"within a cell: {sizes.heads}, across cells: {sizes.set_heads if sizes.across_cells else 'none'}, "
            f"feed-forward width: {sizes.ffn}.",
        ),
        losses=LOSSES,
        sizes={"layers": (sizes.layers, published.layers), "width of a cell": (sizes.cell_width, published.cell_width)},
    )


def _prompted(prompt: Prompt | None) -> tuple[str, ...]:
    if prompt is None:
        return ()
    rewritten = f"`{prompt.control}`" if prompt.control is not None else "other conditions"
    return (
        f"Prompts: cells of one value of `{prompt.condition}` are shown, and cells of {rewritten} are rewritten as if "
        "they were of it.",
    )
