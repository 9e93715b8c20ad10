"""What the model card says of a CellPLM model."""

from scfm.models.cellplm.settings import Cellplm, Encoder
from scfm.models.description import Description

LOSSES = {
    "masked": "mean negative log-likelihood of hidden counts, negative binomial",
    "cell": "the same of all measured genes of the cells that hide some",
    "latent": "mean divergence of the latent from its prior above its hinge, in nats",
    "component": "mean divergence of the prior's components from all alike above its hinge, in nats",
}


def describe(settings: Cellplm) -> Description:
    """Masked genes, prior, encoder, latent and decoder."""
    encoder, latent, masking, published = settings.encoder, settings.latent, settings.masking, Encoder()
    priors = {"mixture": "a Gaussian mixture as prior", "plain": "no prior"}
    components = f" of {latent.components} components" if latent.kind == "mixture" else ""
    return Description(
        what="A transformer whose tokens are cells and whose sentences are tissues (CellPLM)",
        tags=("cellplm",),
        objectives=(
            f"Hidden genes: in a share {masking.cells:g} of the cells, about a share {masking.genes:g} of the genes is "
            "hidden; their counts, and those of all genes of such cells, are predicted from the cells of the set.",
            f"Latent: {priors[latent.kind]}{components}.",
        ),
        architecture=(
            f"Encoder: flow attention across the cells of a set, blocks: {encoder.layers}, width: {encoder.hidden}, "
            f"attention heads: {encoder.heads}, feed-forward width: {encoder.ffn}; coordinates of cells: "
            f"{'read' if settings.reads_positions else 'not read'}.",
            f"Latent: {latent.width} wide. Decoder: layers: {settings.decoder.layers}, width: "
            f"{settings.decoder.hidden}; negative binomial of each gene.",
        ),
        losses=LOSSES,
        sizes={"blocks": (encoder.layers, published.layers), "width": (encoder.hidden, published.hidden)},
    )
