"""The test split as a finished run's model embeds it: the one place of this room where a model of the study is run."""

from petl_core.data import RetrievalData
from petl_core.evaluation.embedding_space import Space
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
