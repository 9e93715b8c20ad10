"""Settings of a STACK that trains in a second."""

STACK = {
    "transformer": {"modules": 4, "width": 4, "layers": 1, "heads": 2, "set_heads": 2, "ffn": 8},
    "sets": {"by": ["perturbation"], "cells": 16},
}
PROMPT = {"rows": 12, "genes": 8, "cell_type": "background", "controls": 16, "embedding_weight": 0.0}
TRAINING = {"epochs": 1, "batch_cells": 32, "accumulate": 1, "precision": "32-true", "workers": 0, "warmup_steps": 2}
RUN = {"system": "stack", "model": STACK, "training": TRAINING}
