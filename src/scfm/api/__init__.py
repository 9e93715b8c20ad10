"""What a biologist calls: embed cells, annotate them, predict a number of them, explain what a model says of them."""

from scfm.api.annotate import annotate
from scfm.api.calibrate import calibrate
from scfm.api.embed import embed
from scfm.api.explain import explain
from scfm.api.finetune import finetune
from scfm.api.predict import predict

__all__ = ["annotate", "calibrate", "embed", "explain", "finetune", "predict"]
