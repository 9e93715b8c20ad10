"""Settings of the BMFM network, its input view and its objectives; defaults are the paper's."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from scfm.models.bmfm.objectives import LabelObjective, Mlm, Wced
from scfm.models.system import SystemSettings
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

    strategy: Literal["exclude", "interleave", "all", "sample"] = "exclude"
    """`exclude`: none. `interleave`: nonzeros take at most `fraction` of the limit, measured zeros the rest, those of
    genes expressed elsewhere in the batch first. `all`: measured zeros fill what the nonzeros leave of the limit.
    `sample`: `number` or `ratio` of random measured zeros, for which nonzeros make way at the limit."""
    fraction: float = Field(0.9, gt=0, le=1)
    """Share of the token limit that nonzeros may take under `interleave`."""
    plain_cells: float = Field(0.2, ge=0, le=1)
    """Share of training cells that stay without zeros under `interleave` (released code)."""
    number: int | None = Field(None, ge=1)
    """Zeros of each cell under `sample`."""
    ratio: float | None = Field(None, gt=0)
    """Zeros for each nonzero token of the cell under `sample`, instead of `number`."""

    @model_validator(mode="after")
    def _sample_says_how_many(self) -> "Zeros":
        if self.strategy == "sample" and (self.number is None) == (self.ratio is None):
            raise ValueError("strategy 'sample' needs one of number and ratio")
        return self


class PeriodicValue(Settings):
    """sin and cos of 2πcx over a geometric ladder of c, then a linear map (paper, scale-adapt)."""

    kind: Literal["periodic"] = "periodic"
    """Name of the encoder; it is the one that is meant where no kind is given."""
    frequencies: int = Field(48, ge=1)
    """Number of frequencies."""
    lowest: float = Field(0.01, gt=0)
    """Lowest frequency, cycles per unit of log-normalised expression."""
    octaves: float = Field(20, gt=0, le=48)
    """Span of the ladder in doublings; above 20, float32 phases of values near 10 are noise (the release has 47)."""
    trainable: bool = False
    """Learn the frequencies, from the ladder on."""


class MlpValue(Settings):
    """A network of one hidden layer on the value itself."""

    kind: Literal["mlp"]
    """Name of the encoder."""
    hidden: int = Field(384, ge=1)
    """Width of the hidden layer."""
    activation: Literal["relu", "gelu"] = "gelu"
    """What follows the hidden layer."""


class BinnedValue(Settings):
    """A learnt vector for each quantile bin among the cell's own nonzero values (scGPT)."""

    kind: Literal["bins"]
    """Name of the encoder."""
    bins: int = Field(50, ge=2)
    """Bins of a cell; value 0 has its own vector besides."""


def _periodic_by_default(data: object) -> object:
    return {"kind": "periodic"} | data if isinstance(data, dict) else data


ValueEncoder = Annotated[
    PeriodicValue | MlpValue | BinnedValue, Field(discriminator="kind"), BeforeValidator(_periodic_by_default)
]


class GeneVectors(Settings):
    """Pretrained vectors of genes; genes that the file lacks learn theirs."""

    file: str
    """A .parquet or .csv with a column `gene` of symbols or Ensembl ids and a column for each dimension, or a .npz with
    arrays `gene` and `vector`."""
    trainable: bool = False
    """Go on learning the given vectors too; else only their linear projection to `hidden` is learnt."""


class Perturbation(Settings):
    """A state of each gene, perturbed or not: perturbed genes are always shown, with a learnt vector added."""

    column: str
    """Text column of the cells that names the perturbed genes, joined by `+`; in inference, a column of obs."""
    most: int = Field(2, ge=1)
    """Most perturbed genes of a cell; so many tokens it may have above its limit."""


class Input(Settings):
    """How a cell becomes tokens."""

    tokens: int = Field(8192, ge=2)
    """Most gene tokens of a cell in training and validation."""
    keep: Literal["random", "highest"] = "random"
    """Nonzeros of a longer cell that stay: a random subset, drawn anew each epoch, or the highest values."""
    inference_tokens: int = Field(8192, ge=2)
    """Most gene tokens of a cell in inference."""
    inference_keep: Literal["highest", "random"] = "highest"
    """What stays of a longer cell in inference; `random` depends on `inference_seed` and the cell alone."""
    inference_seed: int = 0
    """Seed of `random` in inference."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Chance that a training position is left out of the input (targets keep every gene)."""
    zeros: Zeros = Zeros()
    """Zero strategy."""
    value_encoder: ValueEncoder = PeriodicValue()
    """Value encoder."""
    gene_vectors: GeneVectors | None = None
    """Pretrained gene vectors, if any."""
    metadata: tuple[str, ...] = ()
    """Text columns of the cells whose value each becomes one more token; in inference, columns of obs."""
    metadata_dropout: float = Field(0.1, ge=0, lt=1)
    """Chance that a training cell shows such a value as unknown, as it is where inference lacks it."""

    perturbation: Perturbation | None = None
    """Which genes of a cell are perturbed, if the cells say so."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the cells that the input reads."""
        return self.metadata + ((self.perturbation.column,) if self.perturbation else ())

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> "Input":
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("metadata and perturbation.column name a column twice")
        return self

    @model_validator(mode="after")
    def _zeros_leave_room(self) -> "Input":
        zeros = self.zeros
        if zeros.strategy == "sample" and max(zeros.number or 0, zeros.ratio or 0) > self.tokens - 1:
            raise ValueError(f"zeros.number or zeros.ratio leaves no room for a nonzero among {self.tokens} tokens")
        return self


class Bmfm(SystemSettings):
    """One BMFM model: network, input view and objectives."""

    encoder: Encoder = Encoder()
    """Encoder."""
    input: Input = Input()
    """Input view."""
    objective: Mlm | Wced = Field(discriminator="kind")
    """Reconstruction objective."""
    heads: list[LabelObjective] = []
    """Label objectives, one for each label group; under WCED each reads a CLS token of its own, in this order."""

    @model_validator(mode="after")
    def _one_head_for_each_label(self) -> "Bmfm":
        labels = [head.label for head in self.heads]
        if len(set(labels)) < len(labels):
            raise ValueError("heads name a label group twice; give each one head")
        return self

    @model_validator(mode="after")
    def _labels_are_not_shown(self) -> "Bmfm":
        for column in self.input.columns:
            for head in self.heads:
                if column.startswith(head.label) or head.label.startswith(column):
                    raise ValueError(f"input column '{column}' gives away the label '{head.label}' of a head")
        return self

    @model_validator(mode="after")
    def _hidden_genes_stay_hidden(self) -> "Bmfm":
        if self.hides_genes and self.encoder.backbone == "nystromformer":
            raise ValueError(
                "objective.gene_mask needs another backbone: the Nyströmformer orders tokens by their gene"
            )
        return self

    @property
    def donor_labels(self) -> tuple[str, ...]:
        """All that heads predict and the input reads beside cell types, of which a donor has many."""
        return (*(head.label for head in self.heads if head.label != "cell_type"), *self.input.columns)

    @property
    def hides_genes(self) -> bool:
        """Whether genes are hidden and predicted."""
        return self.objective.kind == "mlm" and self.objective.gene_mask > 0

    @property
    def names_cell_types(self) -> bool:
        """Whether a head predicts cell types, which needs the Cell Ontology."""
        return any(head.label == "cell_type" for head in self.heads)

    @property
    def reads_tokens(self) -> bool:
        """A cell is a sequence of its genes."""
        return True

    @property
    def tracks_genes(self) -> bool:
        """Both objectives predict values of genes."""
        return True

    @property
    def error_memory(self) -> float | None:
        """Share of the running errors that stays at each update, where targets are chosen by them; else None."""
        adaptive = self.objective.kind == "mlm" and self.objective.masking == "error"
        return self.objective.memory if adaptive else None

    @property
    def files(self) -> tuple[str, ...]:
        """The file of gene vectors, if the input has some."""
        return (self.input.gene_vectors.file,) if self.input.gene_vectors else ()

    def must_fit(self, epochs: int) -> None:
        """Heads are those of pretraining, and each counts in some epoch."""
        for head in self.heads:
            if head.loss == "squared":
                raise ValueError(
                    "model.heads: loss 'squared' is of scfm.finetune alone, the corpus has labels and no numbers"
                )
            if not any(head.weight_at(epoch) for epoch in range(epochs)):
                raise ValueError(f"head '{head.label}' has no weight in any of {epochs} training epochs")

    @property
    def special_tokens(self) -> int:
        """Tokens of a cell that are not genes: CLS tokens, then one for each metadata column."""
        return self.cls_tokens + len(self.input.metadata)

    @property
    def cls_tokens(self) -> int:
        """CLS, and under WCED one more per label group."""
        return 1 + (len(self.heads) if self.objective.kind == "wced" else 0)

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings that the model offers: each CLS, the mean, and several CLS side by side."""
        joined = ("concat_cls",) if self.cls_tokens > 1 else ()
        return ("cls", *(f"cls_{k}" for k in range(self.cls_tokens - 1)), "mean", *joined)
