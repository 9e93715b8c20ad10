"""Fine-tuning: a pretrained network, whole, goes on learning with a fresh label head."""

from scfm.finetuning.settings import Finetuning

__all__ = ["Finetuning"]
