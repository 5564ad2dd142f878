"""A short run on real images and a backbone pre-trained on photographs; needs PETL_REAL_DATA."""

import numpy as np
from petl_core.evaluation.embedding import embed_test_split
from petl_core.evaluation.gallery_search import search

from petl_core import backbone
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.runs import experiment
from petl_core.training import encoding


def test_a_short_run_on_real_images(real_data, tmp_path):
    config = RunConfig(
        dataset="rsicd",
        backbone=str(real_data / "natural-clip"),
        epochs=2,
        train_images=320,
        validation_fraction=0.02,
        w_image=0.0,
        w_text=0.0,
    )
    places = {"data_root": real_data, "runs_root": tmp_path, "progress": False}
    run = experiment.run(config, **places)
    _, first, second = run.metrics["history"]
    assert second["loss"]["total"] < first["loss"]["total"]
    assert run.metrics["images"] == {"train": 320, "validation": 159, "test": 1000}
    assert run.metrics["parameters"] == {"trained": 45_504, "backbone": 15_071_617}
    dataset = default_data.load_or_draw("rsicd", real_data)
    found = search(dataset.test, embed_test_split(run, dataset, real_data, progress=False))
    recall = 100 * np.mean(found.image_ranks <= 10)
    assert abs(recall - run.metrics["scores"]["strict"]["i2t_r10"]) < 0.5  # half ranks of ties are not hits


def test_real_images_prepare_without_duplicates_of_captions(real_data):
    dataset = default_data.load_or_draw("rsicd", real_data)
    few = dataset.test.subset(range(40))
    prepared = encoding.prepare(few, backbone.load(str(real_data / "natural-clip")))
    assert prepared.inputs.pixels.shape == (40, 3, 112, 112)
    assert len(prepared.inputs.tokens) == len({" ".join(caption.lower().split()) for caption in few.captions}) < 200
