"""Embeddings of a split: in the order of its images and captions, whatever shares a batch with them."""

import torch
from petl_core.training.encoding import Inputs, PreparedSplit
from small_clips import moved, tiny_backbone

from petl_core import adapters
from petl_core.training import encoding

CAPTIONS = ["a river between two green fields and a road", "a pond", "a beach near the sea", "a pond", "two planes"]


def prepared(model):
    first, rows = encoding.distinct(CAPTIONS)
    tokens = model.backbone.tokens([CAPTIONS[i] for i in first])
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    image_of = torch.tensor([0, 1, 2, 1, 0])
    return PreparedSplit(Inputs(tokens, {}, {}, pixels=pixels.numpy()), torch.tensor([2, 0, 1]), rows, image_of)


def test_embeddings_are_in_the_order_of_the_split(monkeypatch):
    monkeypatch.setattr(encoding, "ENCODE_BATCH", 2)  # so that captions are spread over batches by their length
    model = moved(adapters.attach(tiny_backbone(), "mrs", share=16))
    split = prepared(model)
    images, texts = encoding.embed(model, split)
    for row, caption in zip(texts, CAPTIONS, strict=True):
        alone = encoding.embed_captions(model, [caption])[0]
        torch.testing.assert_close(torch.from_numpy(row), torch.from_numpy(alone), atol=1e-5, rtol=0)
    assert (texts[1] == texts[3]).all()
    for row, place in zip(images, split.image_rows, strict=True):
        pixels = torch.from_numpy(split.inputs.pixels[place][None])
        alone = model.encode_image(model.backbone.normalise(pixels), normalize=True)[0]
        torch.testing.assert_close(torch.from_numpy(row), alone.detach(), atol=1e-5, rtol=0)
