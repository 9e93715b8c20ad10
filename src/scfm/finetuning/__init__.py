"""Fine-tuning: a pretrained network, whole, goes on learning with a fresh head."""

from scfm.finetuning.settings import Finetuning, SetFinetuning

__all__ = ["Finetuning", "SetFinetuning"]
