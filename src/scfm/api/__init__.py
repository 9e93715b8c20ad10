"""What a biologist calls: embed cells, annotate them, explain what a model says of them, publish and fetch models."""

from scfm.api.annotate import annotate
from scfm.api.calibrate import calibrate
from scfm.api.embed import embed
from scfm.api.explain import explain
from scfm.api.finetune import finetune
from scfm.api.hub import from_pretrained, push_to_hub

__all__ = ["annotate", "calibrate", "embed", "explain", "finetune", "from_pretrained", "push_to_hub"]
