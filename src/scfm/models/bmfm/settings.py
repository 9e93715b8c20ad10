"""Settings of the BMFM network, its input view and its objectives; defaults are the paper's."""

from typing import Literal

from pydantic import Field, model_validator

from scfm.settings import Settings


class Encoder(Settings):
    """The encoder; sizes are the paper's (architecture section and its hyperparameter table)."""

    backbone: Literal["llama", "bert", "modernbert", "performer", "nystromformer"] = "llama"
    """Kind of the blocks: bidirectional LLaMA, or another one as a function of the set of tokens."""
    layers: int = Field(12, ge=1)
    """Number of transformer blocks."""
    hidden: int = Field(384, ge=1)
    """Width of the embeddings."""
    heads: int = Field(12, ge=1)
    """Attention heads; divides `hidden`."""
    ffn: int = Field(1024, ge=1)
    """Width of the SwiGLU layer (the paper's table prints 1,536; its parameter counts fit 1,024)."""
    features: int = Field(128, ge=1)
    """Performer: random features of each head."""
    landmarks: int = Field(64, ge=1)
    """Nyströmformer: most landmarks of a cell; one with no more tokens than these has exact attention."""
    inverse_iterations: int = Field(6, ge=1, le=12)
    """Nyströmformer: steps of the pseudo-inverse; from 14 on, rounding grows where landmarks coincide."""
    norm_eps: float = 1e-5
    """Epsilon of the norms."""
    init_std: float = Field(0.02, gt=0)
    """Standard deviation of the initial weights; narrow encoders learn sooner from larger ones."""
    cls_init: Literal["zero", "normal"] = "zero"
    """Initial CLS embeddings: `zero` starts each as the mean of its cell's tokens (ours); `normal` as the others."""
    embedding_norm: bool = False
    """Normalise the summed embedding before block 0, as the released code does."""
    final_norm: bool = True
    """Norm between the last block and the heads; the released code has none, and BERT's blocks end in their own."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "Encoder":
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of heads ({self.heads})")
        return self


class Zeros(Settings):
    """Which genes with count 0 the encoder sees."""

    strategy: Literal["exclude", "interleave"] = "exclude"
    """`exclude`: none. `interleave`: nonzeros take at most `fraction` of the limit, measured zeros the rest."""
    fraction: float = Field(0.9, gt=0, le=1)
    """Share of the token limit that nonzeros may take under `interleave`."""
    plain_cells: float = Field(0.2, ge=0, le=1)
    """Share of training cells that stay without zeros under `interleave` (released code)."""


class ValueEncoder(Settings):
    """The periodic encoder: sin and cos of 2πcx over a geometric ladder of c, then a linear map."""

    frequencies: int = Field(48, ge=1)
    """Number of frequencies."""
    lowest: float = Field(0.01, gt=0)
    """Lowest frequency, cycles per unit of log-normalised expression."""
    octaves: float = Field(20, gt=0, le=48)
    """Span of the ladder in doublings; above 20, float32 phases of values near 10 are noise (the release has 47)."""


class Input(Settings):
    """How a cell becomes tokens."""

    tokens: int = Field(8192, ge=2)
    """Most gene tokens of a cell in training; a longer cell gives a random subset, drawn anew each epoch."""
    inference_tokens: int = Field(8192, ge=2)
    """Most gene tokens of a cell in inference; a longer cell keeps its highest values."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Chance that a training position is left out of the input (targets keep every gene)."""
    zeros: Zeros = Zeros()
    """Zero strategy."""
    value_encoder: ValueEncoder = ValueEncoder()
    """Value encoder."""


class Mlm(Settings):
    """Masked value modelling: hidden values are predicted at their own positions."""

    kind: Literal["mlm"]
    """Name of the objective."""
    mask: float = Field(0.15, gt=0, le=1)
    """Chance that a gene position becomes a target."""
    keep: float = Field(0.05, ge=0, le=1)
    """Chance that a target keeps its value instead of showing MASK."""
    value_weight: float = Field(1.0, ge=0)
    """Weight of the squared error over targets above 0."""
    zero_weight: float = Field(1.5, ge=0)
    """Weight of the is-zero cross-entropy over all targets."""


class Wced(Settings):
    """Whole-cell expression decoding: the CLS embedding alone predicts every measured gene."""

    kind: Literal["wced"]
    """Name of the objective."""
    value_weight: float = Field(1.0, ge=0)
    """Weight of the squared error over genes above 0."""
    zero_weight: float = Field(1.0, ge=0)
    """Weight of the is-zero cross-entropy over all measured genes."""
    marginal_init: bool = True
    """Start the decoder's biases at each gene's marginals and its weights small (ours, not the paper's)."""


class Hce(Settings):
    """Hierarchical cross-entropy over the Cell Ontology, on labels at any depth."""

    label: Literal["cell_type"] = "cell_type"
    """Label group: the ontology ids of the cells."""
    loss: Literal["hce"] = "hce"
    """Name of the loss."""
    weight: float = Field(1.0, gt=0)
    """Weight among the objectives."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout inside the head."""


class Bmfm(Settings):
    """One BMFM model: network, input view and objectives."""

    encoder: Encoder = Encoder()
    """Encoder."""
    input: Input = Input()
    """Input view."""
    objective: Mlm | Wced = Field(discriminator="kind")
    """Reconstruction objective."""
    heads: list[Hce] = Field(default=[], max_length=1)
    """Label objectives."""

    @property
    def cls_tokens(self) -> int:
        """CLS, and under WCED one more per label group."""
        return 1 + (len(self.heads) if self.objective.kind == "wced" else 0)

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings that the model offers."""
        return ("cls", *(f"cls_{k}" for k in range(self.cls_tokens - 1)), "mean")
