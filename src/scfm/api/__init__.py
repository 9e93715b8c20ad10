"""What a biologist calls: embed, annotate, predict, explain, fine-tune; publish and fetch models."""

from scfm.api.annotate import annotate
from scfm.api.calibrate import calibrate
from scfm.api.embed import embed
from scfm.api.explain import explain
from scfm.api.finetune import finetune
from scfm.api.hub import from_pretrained, push_to_hub
from scfm.api.predict import predict

__all__ = ["annotate", "calibrate", "embed", "explain", "finetune", "from_pretrained", "predict", "push_to_hub"]
