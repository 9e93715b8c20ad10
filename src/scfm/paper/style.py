"""How the figures look: one colour for each run and one marker for each pooling, the same in all of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "pdf.fonttype": 42}
"""For `plt.rcParams`; letters stay letters in the PDF."""
ORANGE, BLUE, GREEN, VERMILION, GREY = "#E69F00", "#0072B2", "#009E73", "#D55E00", "#BBBBBB"
"""Okabe and Ito's colours, which most people with a colour deficiency can tell apart."""
RUNS = {
    "mlm": ORANGE,
    "wced": BLUE,
    "mlm_hce": VERMILION,
    "wced_hce": "#56B4E9",
    "mlm_multitask": "#8C510A",
    "wced_multitask": GREEN,
    "bmfm_concat": "#CC79A7",
    "cellplm": "#332288",
    "pulsar": "#882255",
    "stack": "#117733",
    "lingshu": "#AA4499",
    "random": "#555555",
    "pca": "#999999",
    "scvi": "#777777",
}
OTHERS = ("#44AA99", "#999933", "#661100", "#6699CC", "#DDCC77", "#000000")
"""Of models of others, none of them a colour of `RUNS`."""
POOLINGS = {"cls": "o", "mean": "s", "pca": "D", "finetuned": "D", "cls_0": "v", "concat_cls": "P", "cls+cls": "^"}
POOLINGS |= {"cell": "h", "latent": "*"}
RANDOM = "random_"
"""What names of runs with random weights begin with, before the name of the run that they are a control of."""
CONTROLS = ("random", "pca", "scvi")
"""What the trained runs are compared with, last in every figure."""


def colour(run: str) -> str:
    """The colour of a run, paler for its random weights; a model of others keeps one that its name gives."""
    if run.startswith(RANDOM):
        own = colour(run.removeprefix(RANDOM))
        return "#" + "".join(f"{(int(own[i : i + 2], 16) + 255) // 2:02X}" for i in (1, 3, 5))
    return RUNS.get(run) or OTHERS[crc32(run.encode()) % len(OTHERS)]


def marker(pooling: str) -> str:
    """The marker of a pooling."""
    return POOLINGS.get(pooling, "X")


def parameters_of(configs: str) -> dict[str, int]:
    """Numbers of parameters by run, of blank-separated files `config.json` of model directories."""
    found = (json.loads(Path(path).read_text()) for path in configs.split())
    return {about["run"]: about["parameters"] for about in found}


def millions(number: int) -> str:
    """A number of parameters as text, e.g. 0.20 M or 43.6 M."""
    return f"{number / 1e6:.3g} M" if number >= 1e6 else f"{number / 1e6:.2f} M"


def save(figure: "Figure", out: str, name: str, dpi: int) -> None:
    """Write `<out>/<name>.png` and `.pdf`, in which only clouds of points are drawn as pixels.

    Without the date and the version of the library, the same tables give the same bytes.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=dpi, metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", dpi=max(dpi, 300), metadata={"CreationDate": None})
