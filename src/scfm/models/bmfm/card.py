"""What the model card says of a BMFM model."""

from scfm.models.bmfm.settings import Bmfm, Encoder
from scfm.models.description import Description

OBJECTIVES = {
    "mlm": "masked values (MLM): the values of hidden genes are predicted at their own positions",
    "wced": "whole-cell expression decoding (WCED): the CLS embedding alone predicts every measured gene",
}
LOSSES = {
    "hce": "hierarchical cross-entropy over the Cell Ontology",
    "sigmoid": "a sigmoid for each term of the Cell Ontology",
    "cross_entropy": "flat cross-entropy",
    "focal": "focal loss",
    "squared": "squared error of one standardised number",
}
MEANINGS = {
    "value": "mean squared error of log-normalised values above 0",
    "is_zero": "mean cross-entropy of whether a value is 0",
}


def describe(settings: Bmfm) -> Description:
    """Objective, heads, encoder and tokens of a cell."""
    encoder, tokens, published = settings.encoder, settings.input, Encoder()
    heads = [f"Label `{head.label}`: {LOSSES[head.loss]}, weight {head.weight:g}." for head in settings.heads]
    return Description(
        what="A transformer on the expression of single cells",
        tags=(settings.objective.kind,),
        objectives=(f"{OBJECTIVES[settings.objective.kind]}.", *heads),
        architecture=(
            f"Encoder: {encoder.backbone}, blocks: {encoder.layers}, width: {encoder.hidden}, attention heads: "
            f"{encoder.heads}, feed-forward width: {encoder.ffn}.",
            f"Gene tokens of a cell: at most {tokens.tokens:,} in training, {tokens.inference_tokens:,} in inference; "
            f"values: {tokens.value_encoder.kind}; zeros: {tokens.zeros.strategy}.",
        ),
        losses=MEANINGS,
        sizes={"blocks": (encoder.layers, published.layers), "width": (encoder.hidden, published.hidden)},
    )
