"""Lightning Fabric: one training process on the CPU or a GPU, or one of several that torchrun started."""

import sys

# To read its version, Lightning imports torchmetrics, and that imports transformers: two of the six seconds that a
# training took to begin. None in `sys.modules` says that there is no such package.
hidden = "torchmetrics" not in sys.modules
if hidden:
    sys.modules["torchmetrics"] = None
from lightning_fabric import Fabric  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment  # noqa: E402
from lightning_fabric.strategies import DDPStrategy  # noqa: E402

if hidden:
    del sys.modules["torchmetrics"]


def launch(devices: int) -> Fabric:
    """This process's part of a training on a number of GPUs, or on the CPU for 0."""
    several = devices > 1
    fabric = Fabric(
        accelerator="gpu" if devices else "cpu",
        devices=max(devices, 1),
        # Each rank counts its own targets in no buffer of the network; its buffers are constants.
        strategy=DDPStrategy(broadcast_buffers=False) if several else "auto",
        # Named, since Lightning would take a Slurm job for processes that Slurm itself started.
        plugins=[TorchElasticEnvironment() if several else LightningEnvironment()],
    )
    fabric.launch()
    return fabric
