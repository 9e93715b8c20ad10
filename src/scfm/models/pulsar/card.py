"""What the model card says of a PULSAR model."""

from scfm.models.description import Description
from scfm.models.pulsar.settings import Pulsar, Transformer

LOSSES = {
    "reconstruction": "mean squared error of hidden elements of cell vectors",
    "program_entropy": "entropy of an element's membership in the programs of the masker",
    "program_size": "unevenness of the programs' sizes",
    "contrast": "InfoNCE of two subsets of a donor",
    "alignment": "supervised contrast of donors of one label",
    "condition": "mean squared error of the changed donor vector",
}


def describe(settings: Pulsar) -> Description:
    """What is hidden, what is contrasted, heads, encoder and decoder."""
    sizes, masking, sampling, published = settings.transformer, settings.masking, settings.sampling, Transformer()
    alignment = settings.alignment
    return Description(
        what="A transformer that makes one vector of a donor from vectors of its cells (PULSAR)",
        tags=("pulsar", "donors"),
        objectives=(
            f"Cell vectors: a share {masking.ratio:g} of their elements is hidden (`{masking.strategy}`) and predicted "
            f"from the donor's vector, weight {settings.reconstruction_weight:g}.",
            f"Contrast of two subsets of a donor with those of others, weight {settings.contrastive_weight:g}.",
            *((f"Alignment by the label `{alignment.label}`, weight {alignment.weight:g}.",) if alignment else ()),
            *(f"Label `{head.label}`: a {head.kind}, weight {head.weight:g}." for head in settings.heads),
        ),
        architecture=(
            f"Encoder and decoder, blocks: {sizes.encoder_layers} and {sizes.decoder_layers}, width: {sizes.hidden}, "
            f"attention heads: {sizes.heads}, feed-forward width: {sizes.ffn}; a set has no positions.",
            f"Cells of a donor: {sampling.cells:,}, {'with' if sampling.replacement else 'without'} replacement, a "
            f"share {sampling.encoder_share:g} of them shown to the encoder in training.",
        ),
        losses=LOSSES | {head.task: f"mean loss of the label `{head.label}`" for head in settings.heads},
        sizes={
            "blocks of the encoder": (sizes.encoder_layers, published.encoder_layers),
            "width": (sizes.hidden, published.hidden),
        },
    )
