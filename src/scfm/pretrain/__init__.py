"""Pretraining: one run and seed from shards to a model directory."""
