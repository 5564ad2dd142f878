"""Embeddings on disk are those of the run, each with the image or caption it is of."""

import numpy as np
import pandas as pd
import pytest
from petl_core.runs.experiment import splits_of
from petl_core.runs.folder import Run

from petl_core import retrieval
from petl_core.data import default_data
from petl_core.errors import ConfigError
from petl_core.export import export_embeddings

SPLITS = {"train": 19, "validation": 5, "test": 10}  # images


@pytest.mark.parametrize("split", SPLITS)
def test_parquet_has_a_row_for_each_image_and_caption(lora, data_root, tmp_path, split):
    out = export_embeddings(lora, tmp_path / "out.parquet", split, data_root, "cpu")
    frame = pd.read_parquet(out)
    expected = splits_of(lora.config, default_data.load_or_draw("scenes-mini", data_root))[split]
    assert frame.attrs == {"run": lora.config.hash, "split": split}
    assert list(frame.columns) == ["kind", "image", "path", "caption", "scene", "embedding"]

    images, captions = frame[frame["kind"] == "image"], frame[frame["kind"] == "caption"]
    assert len(images) == len(expected.images) == SPLITS[split] and len(captions) == len(expected.captions)
    assert images["image"].tolist() == list(range(len(images))) and images["caption"].isna().all()
    assert [(data_root / path).resolve() for path in images["path"]] == [path.resolve() for path in expected.images]
    assert images["scene"].tolist() == list(expected.scenes)
    assert captions["caption"].tolist() == list(expected.captions)
    assert captions["image"].tolist() == expected.image_of.tolist()
    assert captions["path"].tolist() == [images["path"].tolist()[i] for i in expected.image_of]
    assert captions["scene"].tolist() == [expected.scenes[i] for i in expected.image_of]
    assert np.linalg.norm(np.stack(frame["embedding"]), axis=1) == pytest.approx(np.ones(len(frame)), abs=1e-5)
    assert frame["embedding"][0].dtype == np.float32


def test_the_recalls_of_exported_embeddings_are_those_of_the_run(lora, mrs, data_root, tmp_path):
    for run in (lora, mrs):
        with np.load(export_embeddings(run, tmp_path / "out.npz", "test", data_root, "cpu")) as saved:
            assert saved["run"] == run.config.hash and saved["split"] == "test"
            scores = retrieval.similarity(saved["images"], saved["texts"])
            found = retrieval.evaluate(scores, saved["image_of"], saved["captions"].tolist())
        assert found["strict"] == pytest.approx(run.metrics["scores"]["strict"])
        assert found["equivalent"] == pytest.approx(run.metrics["scores"]["equivalent"])


def test_both_kinds_of_file_hold_the_same(mrs, data_root, tmp_path):
    frame = pd.read_parquet(export_embeddings(mrs, tmp_path / "out.parquet", "test", data_root, "cpu"))
    with np.load(export_embeddings(mrs, tmp_path / "out.npz", "test", data_root, "cpu")) as saved:
        assert np.array_equal(np.stack(frame["embedding"]), np.concatenate([saved["images"], saved["texts"]]))
        assert frame["path"][:10].tolist() == saved["paths"].tolist()
        assert frame["scene"][:10].fillna("").tolist() == saved["scenes"].tolist()
        assert frame["caption"][10:].tolist() == saved["captions"].tolist()


def test_another_ending_or_split_is_refused(lora, data_root, tmp_path):
    with pytest.raises(ConfigError, match=r"out\.csv: embeddings go to a file that ends in \.parquet or \.npz"):
        export_embeddings(lora, tmp_path / "out.csv", "test", data_root)
    with pytest.raises(ConfigError, match="split 'val' must be one of train, validation, test"):
        export_embeddings(lora, tmp_path / "out.npz", "val", data_root)


def test_data_that_changed_since_the_run_are_refused(lora, data_root, tmp_path):
    other = Run(lora.folder, lora.config, {**lora.metrics, "inputs": {**lora.metrics["inputs"], "data": "another"}})
    with pytest.raises(ConfigError, match="has changed since run"):
        export_embeddings(other, tmp_path / "out.npz", "test", data_root)
