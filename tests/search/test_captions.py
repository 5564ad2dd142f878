"""``Captions``: searched by image."""

import numpy as np
import pytest
from imagery import write_image
from petl_core.search.captions import Captions
from PIL import Image
from small_clips import moved, tiny_backbone

from petl_core import retrieval
from petl_core.adapters import attach
from petl_core.search import models
from petl_core.training import encoding


def test_an_image_finds_distinct_captions_by_their_cosines(tmp_path):
    model = moved(attach(tiny_backbone(), "mrs"))
    captions = Captions.of(["a pond", "a river", "A  pond", "two planes"], model, progress=False)
    assert captions.texts == ("a pond", "a river", "two planes")
    assert np.allclose(captions.embeddings, encoding.embed_captions(model, captions.texts), atol=1e-6)
    picture = Image.open(write_image(tmp_path / "1.png", 1))
    query = models.embed_picture(model, picture)
    found = captions.nearest_to(query, 2)
    scores = retrieval.similarity(query[None], captions.embeddings)[0]
    order = np.argsort(-scores)[:2]
    assert [text for text, _ in found] == [captions.texts[i] for i in order]
    assert [score for _, score in found] == pytest.approx(scores[order].tolist(), abs=1e-6)
