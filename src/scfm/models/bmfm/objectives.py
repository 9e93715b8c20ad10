"""Settings of the objectives: reconstruction and label heads; defaults are the paper's."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from scfm.settings import Settings


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
    zero_inflated_weight: float = Field(0.0, ge=0)
    """Weight of the squared error of (1 - P(zero)) * value over all targets, zeros included; 0 leaves it out."""
    masking: Literal["uniform", "error"] = "uniform"
    """Which positions become targets: all alike, or in proportion to the running error of their gene, with `mask` the
    mean over a cell. Validation is always uniform."""
    memory: float = Field(0.99, ge=0, lt=1)
    """Share of the running errors that stays at each update."""
    gene_mask: float = Field(0.0, ge=0, lt=1)
    """Chance that a position hides its gene and shows its value, if that is above 0 and no target."""
    gene_weight: float = Field(1.0, ge=0)
    """Weight of the cross-entropy over the vocabulary at hidden genes."""


class Wced(Settings):
    """Whole-cell expression decoding: the CLS embedding alone predicts every measured gene."""

    kind: Literal["wced"]
    """Name of the objective."""
    value_weight: float = Field(1.0, ge=0)
    """Weight of the squared error over genes above 0."""
    zero_weight: float = Field(1.0, ge=0)
    """Weight of the is-zero cross-entropy over all measured genes."""
    zero_inflated_weight: float = Field(0.0, ge=0)
    """Weight of the squared error of (1 - P(zero)) * value over all measured genes, zeros included; 0 leaves it out."""
    marginal_init: bool = True
    """Start the decoder's biases at each gene's marginals and its weights small (ours, not the paper's)."""


class Head(Settings):
    """What all label heads have; a cell whose label is unknown contributes nothing."""

    weight: float = Field(1.0, gt=0)
    """Weight among the objectives."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout inside the head."""
    from_epoch: int = Field(0, ge=0)
    """Epochs of training before the head counts; it then has weight 0."""
    reweight: dict[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=0)]] = {}
    """Epochs done to the weight from there on, in place of `weight`; 0 takes the head out again."""
    reversal: float | None = Field(None, gt=0)
    """Coefficient of a gradient reversal: the head learns the label and the encoder unlearns it."""

    @property
    def task(self) -> str:
        """Name of the objective in metrics."""
        return f"{self.label}_{self.loss}"

    def weight_at(self, epoch: int) -> float:
        """Weight after so many epochs of training."""
        if epoch < self.from_epoch:
            return 0.0
        reached = [start for start in self.reweight if start <= epoch]
        return self.reweight[max(reached)] if reached else self.weight


class Hce(Head):
    """Hierarchical cross-entropy over the Cell Ontology, on labels at any depth."""

    label: Literal["cell_type"] = "cell_type"
    """Label group: the ontology ids of the cells."""
    loss: Literal["hce"] = "hce"
    """Name of the loss; it is the one that is meant where none is given."""


class Sigmoids(Head):
    """An independent sigmoid for each ontology term: the label and its ancestors hold, terms below it are unknown."""

    label: Literal["cell_type"] = "cell_type"
    """Label group: the ontology ids of the cells."""
    loss: Literal["sigmoid"]
    """Name of the loss."""


LabelGroup = Literal["cell_type", "tissue", "tissue_general", "donor_id", "sex"]


class Flat(Head):
    """A head over the labels of the training cells; `FLAT` of `label_losses` names the functions of its losses."""

    label: LabelGroup
    """Label group: a column of the cells; of cell types the ontology ids."""


class CrossEntropy(Flat):
    """Flat cross-entropy over the labels of the training cells."""

    loss: Literal["cross_entropy"]
    """Name of the loss."""


class Focal(Flat):
    """Focal loss over the labels of the training cells: cross-entropy times (1 - p)^gamma."""

    loss: Literal["focal"]
    """Name of the loss."""
    gamma: float = Field(2.0, ge=1)
    """Exponent: how little a cell counts whose label is certain already."""


TARGET = "target"
"""Group of the one number that a head predicts."""


class Squared(Head):
    """Squared error of one standardised number a cell; `scfm.finetune` trains it, pretraining has no such column."""

    label: Literal["target"] = "target"
    """Group: the number, no column of the corpus."""
    loss: Literal["squared"]
    """Name of the loss."""


def _hce_by_default(data: object) -> object:
    return {"loss": "hce"} | data if isinstance(data, dict) else data


LabelObjective = Annotated[
    Hce | Sigmoids | CrossEntropy | Focal | Squared, Field(discriminator="loss"), BeforeValidator(_hce_by_default)
]
