"""A model applied to test images and captions: embeddings, focus maps, the small targets that it finds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from petl_core import retrieval
from petl_core.adapters.base import AdaptedCLIP
from petl_core.adapters.focus import focus_maps
from petl_core.data import RetrievalData, Split
from petl_core.evaluation.embedding_space import Space
from petl_core.evaluation.focus import TargetQueries, query_hits_as_image_hits
from petl_core.runs.experiment import load_model
from petl_core.runs.folder import Run
from petl_core.training import encoding


def embed_test_split(run: Run, dataset: RetrievalData, data_root: str, progress: bool = True) -> Space:
    """Embed the test images and captions of a data set.

    Args:
        run: a finished one.
        dataset: the one that the run was tested on.
        data_root: folder of the data sets.
        progress: show bars on stderr.

    Returns:
        Normalised embeddings, images (N, d) and texts (M, d).
    """
    model = load_model(run, data_root)
    prepared = encoding.prepare(dataset.test, model.backbone, progress)
    return Space(*encoding.embed(model, prepared, progress))


def target_hits(model: AdaptedCLIP, test: Split, queries: TargetQueries) -> np.ndarray:
    """Which captions about small targets a model finds an image for.

    Args:
        model: whose embeddings are compared.
        test: with the N images of ``queries``.
        queries: Q captions, and which images each describes.

    Returns:
        (Q, 7) as from :func:`petl_core.evaluation.focus.query_hits_as_image_hits`.
    """
    prepared = encoding.prepare(test, model.backbone)
    images = encoding.embed_images(model, prepared, prepared.image_rows)
    texts = encoding.embed_captions(model, queries.captions)
    return query_hits_as_image_hits(retrieval.similarity(texts, images), queries.relevant)


def focus_maps_of(model: AdaptedCLIP, images: Sequence[Path]) -> np.ndarray:
    """Focus weights of B image files: (B, layers, height, width) of :func:`petl_core.adapters.focus.focus_maps`."""
    pixels = model.backbone.normalise(model.backbone.pixels(images)).to(model.device)
    return np.concatenate([focus_maps(model, batch).cpu().numpy() for batch in pixels.split(encoding.ENCODE_BATCH)])
