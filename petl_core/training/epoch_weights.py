"""The trained weights after each validated epoch, kept on disk until one epoch is chosen."""

from pathlib import Path

from safetensors.torch import load_file, save_file

from petl_core.adapters import AdaptedCLIP
from petl_core.files import write_atomically


class EpochWeights:
    """The trained weights of a run by epoch: ``folder/epoch_007.safetensors``; epoch 0 is before training."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, epoch: int, model: AdaptedCLIP) -> None:
        """Save the trained weights at the end of an epoch."""
        self.folder.mkdir(exist_ok=True)
        weights = {name: weight.detach().cpu().contiguous() for name, weight in model.trainable().items()}
        write_atomically(self._path(epoch), lambda temporary: save_file(weights, temporary))

    def load(self, epoch: int, model: AdaptedCLIP) -> None:
        """Restore the model to the end of an epoch.

        Raises:
            OSError: the epoch was not saved.
        """
        model.load_state_dict(load_file(self._path(epoch)), strict=False)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:03d}.safetensors"
