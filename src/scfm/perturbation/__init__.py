"""Perturbed cells, for every stage: their common form, what is held out, baselines, metrics.

`screen` brings a dataset into the form, `hold_out` says which cells are trained on, shown, queried and tested, and
`evaluate` with `summarise` compares predicted cells, and the baselines, with the real ones. An atlas of predicted cells
is written by `scfm.perturbation.atlas`, which is not among these names so that an edit of it trains nothing anew.
"""

from scfm.perturbation.baselines import BASELINES, predict, pseudobulks
from scfm.perturbation.cells import CONTROL, canonical, conditions, controls, partners, screen
from scfm.perturbation.evaluate import CEILING, evaluate
from scfm.perturbation.predictions import check_perturbations, check_predictions, check_prompt
from scfm.perturbation.settings import Atlas, Holdout, Quality, Scoring
from scfm.perturbation.split import OUT, PROMPT, QUERY, TEST, TRAIN, check_leaks, hold_out
from scfm.perturbation.summary import summarise

__all__ = [
    "BASELINES",
    "CEILING",
    "CONTROL",
    "OUT",
    "PROMPT",
    "QUERY",
    "TEST",
    "TRAIN",
    "Atlas",
    "Holdout",
    "Quality",
    "Scoring",
    "canonical",
    "check_leaks",
    "check_perturbations",
    "check_predictions",
    "check_prompt",
    "conditions",
    "controls",
    "evaluate",
    "hold_out",
    "partners",
    "predict",
    "pseudobulks",
    "screen",
    "summarise",
]
