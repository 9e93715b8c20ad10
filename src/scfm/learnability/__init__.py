"""Learnability: which genes a model predicts better or worse than their sparsity lets expect.

Public face: the settings (`scfm.learnability.settings.Learnability`) and the commands of `scfm learnability`.
"""
