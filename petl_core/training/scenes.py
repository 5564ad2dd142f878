"""Scene labels in training, other than in captions: balanced batches, and a cross-entropy."""

from dataclasses import dataclass

import numpy as np
import torch

from petl_core import losses
from petl_core.adapters import AdaptedCLIP
from petl_core.data import scene_labels
from petl_core.training.encoding import Encoder, PreparedSplit, prepare_captions, text_encoder


def balanced_rows(train: PreparedSplit, rng: np.random.Generator) -> np.ndarray:
    """(N,) rows of captions, drawn evenly from the scenes of the N captioned images, each scene once in every round.

    Images of a scene take turns: small scenes repeat their images, each time with a random caption, and large scenes
    do not show all of theirs in an epoch. Images without a label together form one more scene.
    """
    image_of = train.image_of.numpy()
    images = np.unique(image_of)
    _, scene_of = np.unique([train.scenes[image] or "" for image in images], return_inverse=True)

    # The scene of each place: all of them in random order, again and again.
    n_scenes = scene_of.max() + 1
    rounds = -(-len(images) // n_scenes)
    scene_at = np.concatenate([rng.permutation(n_scenes) for _ in range(rounds)])[: len(images)]

    # The image of each place: those of its scene in random order, again and again.
    image_at = np.empty(len(images), dtype=np.int64)
    for scene in range(n_scenes):
        places, members = np.flatnonzero(scene_at == scene), images[scene_of == scene]
        turns = -(-len(places) // len(members))
        image_at[places] = np.concatenate([rng.permutation(members) for _ in range(turns)])[: len(places)]

    # A caption of each image.
    rows = np.argsort(image_of, kind="stable")
    first, count = np.searchsorted(image_of[rows], image_at), np.bincount(image_of)[image_at]
    return rows[first + rng.integers(count)]


@dataclass(frozen=True)
class SceneTerm:
    """A cross-entropy of images and captions over scene classes, each represented by the embedding of its prompt.

    Prompts are captions, too: they are encoded again at each step, and the gradient flows through them. With a side
    method, the tower reads them only once per epoch. Images without a label do not count, nor do their captions.
    """

    encode_prompts: Encoder  # () -> (C, d)
    classes: torch.Tensor  # (N,) of each training image, below 0 if it has no label

    @classmethod
    def of(cls, model: AdaptedCLIP, train: PreparedSplit) -> "SceneTerm":
        """The term for the classes of the training images."""
        names = scene_labels.scene_classes(train.scenes)
        prompts = prepare_captions(model, scene_labels.class_prompts(names))
        classes = torch.from_numpy(scene_labels.class_indices(train.scenes, names)).to(model.device)
        return cls(text_encoder(model, prompts, prompts.caption_rows), classes)

    def loss(
        self, batches: dict[str, torch.Tensor], images: torch.Tensor, temperature: float | torch.Tensor
    ) -> torch.Tensor:
        """The mean of both modalities' cross-entropies.

        Args:
            batches: "images" and "texts", (B, d) each.
            images: (B,) which training images these are.
            temperature: of the contrast.
        """
        prompts, classes = self.encode_prompts(), self.classes[images.to(self.classes.device)]
        of_images, of_texts = (
            losses.class_cross_entropy(batches[name], prompts, classes, temperature) for name in ("images", "texts")
        )
        return (of_images + of_texts) / 2
