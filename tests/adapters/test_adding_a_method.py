"""A new method is its file and one line in METHODS: everything else is read from the class."""

import importlib.util
import sys
import textwrap

import torch
from small_clips import embed, images_for, tiny_backbone, train_step

from petl_core.adapters import METHODS, attach, check_method, load

SCALE = '''
    """Scale the frozen image embedding."""

    from dataclasses import dataclass

    import torch
    from torch import nn

    from petl_core.adapters.base import Method


    @dataclass(frozen=True)
    class ScaleOptions:
        start: float = 1.0


    class Scale(Method):
        """One factor for each dimension of an image's embedding; 512 parameters on ViT-B/32."""

        title = "Scaled CLIP"
        parameter_count = 512
        Options = ScaleOptions

        def __init__(self, clip, options):
            super().__init__(clip, options)
            self.scale = nn.Parameter(torch.full((clip.visual.output_dim,), options.start))

        def encode_image(self, clip, images):
            return self.scale * clip.encode_image(images)
'''


def test_a_new_method_is_a_file_and_one_line(monkeypatch, backbone, tokens, tmp_path):
    # its file
    path = tmp_path / "scale.py"
    path.write_text(textwrap.dedent(SCALE))
    spec = importlib.util.spec_from_file_location("scale", path)
    scale = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "scale", scale)  # as an imported module would be
    spec.loader.exec_module(scale)

    # its line
    monkeypatch.setitem(METHODS, "scale", scale.Scale)

    # it is attached, with title, count and options of the class
    assert (METHODS["scale"].title, METHODS["scale"].parameter_count) == ("Scaled CLIP", 512)
    assert check_method("scale", {"start": 2}).start == 2.0
    model = attach(backbone, "scale", start=2)
    assert model.trainable_count() == backbone.clip.visual.output_dim

    # it trains
    images = images_for(backbone)
    before = embed(model, images, tokens)
    train_step(model.train(), torch.optim.Adam(model.trainable().values(), 0.1), images, tokens)
    after = embed(model.eval(), images, tokens)
    assert not torch.equal(after[:6], before[:6]) and torch.equal(after[6:], before[6:])

    # it is saved and loaded
    again = load(tiny_backbone(), model.save(tmp_path / "scale.safetensors")).eval()
    assert (again.name, again.options.start) == ("scale", 2.0)
    assert torch.equal(embed(again, images, tokens), after)
