"""A short run on real images and a backbone pre-trained on photographs; needs PETL_REAL_DATA."""

import numpy as np

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.data import load
from petl_core.inputs import embed, prepare
from petl_core.runs.run import load_model, run


def test_a_short_run_on_real_images(real_data, tmp_path):
    folder = tmp_path / "rsicd_precomp"  # with few of the training images, which are all decoded
    folder.mkdir()
    (folder / "rsicd_images").symlink_to(real_data / "rsicd_precomp" / "rsicd_images")
    for split, images in (("train", 500), ("test", 200)):
        for kind, lines in (("filename", images * (5 if split == "test" else 1)), ("caps", 5 * images)):
            listed = (real_data / "rsicd_precomp" / f"{split}_{kind}.txt").read_text().splitlines()
            (folder / f"{split}_{kind}.txt").write_text("\n".join(listed[:lines]) + "\n")

    config = RunConfig(dataset=str(folder), backbone=str(real_data / "natural-clip"), train_images=320)
    trained = run(config, real_data, tmp_path / "runs", progress=False)
    _, first, second = trained.metrics["history"]
    assert second["loss"]["total"] < first["loss"]["total"]
    assert trained.metrics["images"] == {"train": 320, "validation": 100, "test": 200}
    assert trained.metrics["parameters"] == {"trained": 45_504, "backbone": 15_071_617}

    # The saved adapter finds again what was tested; captions are held once.
    test, model = load("rsicd", tmp_path).test, load_model(trained)
    prepared = prepare(test, model, tmp_path / "runs" / "cache")
    assert prepared.pixels.shape[1:] == (3, 112, 112)
    assert len(prepared.tokens) == len({" ".join(caption.lower().split()) for caption in test.captions}) < 1000
    scores = retrieval.similarity(*embed(model, prepared.part(test)))
    assert np.array_equal(retrieval.per_image_hits(scores, test.image_of), trained.hits)
