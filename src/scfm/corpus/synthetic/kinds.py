"""Kinds of datasets with a planted answer that are drawn beside the synthetic census."""

from scfm.corpus.synthetic.cytokine import cytokine
from scfm.corpus.synthetic.planted import disease, perturbation
from scfm.corpus.synthetic.screen import screen

PLANTED = {"perturbation": perturbation, "disease": disease, "screen": screen, "cytokine": cytokine}
"""Kind of dataset to the function that draws it."""
