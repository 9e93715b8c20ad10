"""What a study may say: the keys of config/config.yaml and of a file of config/studies."""

from typing import Annotated, Any, Literal

from pydantic import Field

from scfm.annotation.settings import Choices
from scfm.benchmarks.settings import Benchmarks, Evaluation
from scfm.corpus.settings import Corpus
from scfm.datasets import Task
from scfm.generation.settings import Generation
from scfm.learnability.settings import Learnability
from scfm.paper.settings import Paper, Scale
from scfm.settings import Settings


class DatasetUse(Evaluation):
    """What a study does with one dataset."""

    role: Literal["pretrain", "benchmark"]
    """`pretrain`: cells of the corpus, of which `tasks` may name such as train anew without what they hold out;
    `benchmark`: evaluated, never trained on."""
    optional: bool = False
    """The study does without a dataset of resource `file:` that is not there; the tables say which file they need."""


class RunUse(Settings):
    """What a study does with one file of config/runs."""

    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Seeds of weights and batches; one training each."""
    override: dict[str, Any] = {}
    """Keys of the run file that differ in this study, over those of `pretrain`."""


class AblationUse(RunUse):
    """A run that changes something of one of the study's, to be compared with it; `all` leaves it out."""

    base: str
    """The run of the study that it is compared with; its keys of `override` hold here too, below those named here."""
    run: str | None = None
    """File of config/runs, if it is another one than that of the base."""


class Part(Settings):
    """One embedding among those that a concatenation puts side by side."""

    run: str
    """Run of the study."""
    pooling: str
    """One of its poolings, e.g. cls."""


Figure = Literal[
    "figure1",
    "figure2",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    "figureS7",
    "figureS8",
    "figureS9",
    "perturbation_deltas",
    "perturbed_atlas",
    "generated_cells",
]


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Shared(Settings):
    """config/config.yaml: which study, where things are, and defaults that studies may override."""

    study: str
    """Name of a file of config/studies."""
    mirror: str | None = None
    """Folder that holds the external files; null fetches them from their URLs."""
    results: str = "results"
    """Folder of results."""
    work: str = "work"
    """Folder of what must survive failures: checkpoints and partial downloads."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train and embed; `cpu` also forces a paper-scale study onto the CPU."""
    gpus: int = Field(1, ge=1)
    """GPUs of one training job."""
    threads: int = Field(1, ge=1)
    """CPU threads of one training job."""
    max_time: float | None = Field(None, gt=0)
    """Minutes after which a training writes a checkpoint and stops."""
    pretrain: dict[str, Any] = {}
    """Keys of every run laid over the study's own, e.g. fewer epochs for a first look."""
    annotation: Choices = Choices()
    """Readings of the gene rules."""
    learnability: Learnability = Learnability()
    """Which genes count as learnt."""
    benchmarks: Benchmarks = Benchmarks()
    """How embeddings are evaluated."""
    paper: Paper = Paper()
    """Tables, figures and claims."""


class StudyFile(Settings):
    """One file of config/studies."""

    description: str
    """What the study is for."""
    scale: Scale
    """Scale that its claims are judged at."""
    code_reruns: bool = True
    """An edit of the library reruns the jobs that use it; false where retraining costs days: a line then names the
    models of other code."""
    corpus: Corpus
    """Pretraining cells."""
    datasets: dict[str, dict[str, DatasetUse]] = {}
    """Original study to its datasets and their roles."""
    pretrain: dict[str, Any] = {}
    """Keys of every run file that differ in this study; a mapping that names a `kind` is for runs of this kind."""
    systems: dict[str, dict[str, Any]] = {}
    """System to keys laid over its run files, after those of `pretrain`."""
    runs: dict[str, RunUse] = Field(min_length=1)
    """Runs of config/runs."""
    ablations: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], AblationUse] = {}
    """Name to what is changed; trained and compared by the target `ablations`."""
    concatenations: dict[Name, Annotated[tuple[Part, ...], Field(min_length=2)]] = {}
    """Name to the embeddings of several runs that stand side by side, unscaled, as one more model; it has the seeds
    that all of them have."""
    task_models: dict[Task, tuple[str, ...]] = {}
    """Task to the models that it scores, `run` or `run/seed`, `pca` among them; every model for a task not named."""
    generation: Generation | None = None
    """Cells that runs draw, beside real ones; null: none are drawn."""
    check_run: str | None = None
    """Run in which the planted truth of the synthetic census is looked for."""
    figures: tuple[Figure, ...] | None = None
    """Figures that are made, if there are results for them; null: all of them."""
    annotation: dict[str, Any] = {}
    """Overrides of the shared key."""
    learnability: dict[str, Any] = {}
    """Overrides of the shared key."""
    benchmarks: dict[str, Any] = {}
    """Overrides of the shared key."""
    paper: dict[str, Any] = {}
    """Overrides of the shared key."""
