"""A folded model is plain open_clip: its loader alone gives the same embeddings."""

import json

import open_clip
import pytest
import torch
from layouts import LAYOUTS, each_layout
from petl_core.runs.experiment import load_model
from safetensors.torch import save_file
from small_clips import embed, images_for, moved

from petl_core import backbone
from petl_core.adapters import METHODS, attach
from petl_core.errors import ConfigError
from petl_core.export import export_open_clip

FOLDS = {"zero_shot", "full", "lora", "bitfit"}
SMALL = {
    "embed_dim": 32,
    "quick_gelu": True,  # which a folder that forgot it would not give back
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {"width": 80, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An open_clip folder that asks for other preprocessing than CLIP's."""
    folder = tmp_path_factory.mktemp("clip")
    preprocessing = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}
    config = {"model_cfg": SMALL, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    save_file(open_clip.CustomTextCLIP(**SMALL).state_dict(), folder / "open_clip_model.safetensors")
    return folder


def by_open_clip(folder, precision="fp32"):
    """The model, its preprocessing and tokenizer as anybody loads them."""
    name = f"local-dir:{folder}"
    clip, _, preprocess = open_clip.create_model_and_transforms(name, precision=precision)
    return clip.eval(), preprocess, open_clip.get_tokenizer(name)


@each_layout([(name, options) for name, options in LAYOUTS if name in FOLDS])
@pytest.mark.parametrize("train_logit_scale", [False, True])
def test_open_clip_alone_gives_the_same_embeddings(name, options, train_logit_scale, folder, tmp_path):
    frozen = backbone.load(str(folder))
    model = moved(attach(frozen, name, train_logit_scale=train_logit_scale, **options))
    images, tokens = images_for(frozen), frozen.tokens(["a river", "two white planes next to a terminal"])
    before = embed(model, images, tokens)

    clip, preprocess, tokenizer = by_open_clip(export_open_clip(model, tmp_path / "out"))
    assert type(clip) is open_clip.CustomTextCLIP
    assert (embed(clip, images, tokens) - before).abs().max() <= 1e-5
    assert torch.equal(clip.logit_scale, model.clip.logit_scale)
    assert str(preprocess) == str(frozen.preprocess)
    assert torch.equal(tokenizer(["a river"]), frozen.tokens(["a river"]))
    if name != "zero_shot":
        assert not torch.allclose(before, embed(backbone.load(str(folder)).clip, images, tokens), atol=1e-3)

    # The model itself is as it was, and still trains.
    assert torch.equal(embed(model, images, tokens), before)
    assert model.save(tmp_path / "adapter.safetensors").stat().st_size > 0


def test_in_bfloat16_too(folder, tmp_path):
    frozen = backbone.load(str(folder), precision="bf16")
    model = moved(attach(frozen, "lora"))
    images, tokens = images_for(frozen), frozen.tokens(["a river"])
    clip, _, _ = by_open_clip(export_open_clip(model, tmp_path / "out"), precision="pure_bf16")
    assert torch.equal(embed(clip, images.bfloat16(), tokens).float(), embed(model, images, tokens))


@each_layout([(name, options) for name, options in LAYOUTS if name not in FOLDS])
def test_other_methods_say_that_they_do_not_fold(name, options, folder, tmp_path):
    model = attach(backbone.load(str(folder)), name, **options)
    with pytest.raises(ConfigError, match=rf"^{METHODS[name].title} computes .* does not fold .*\(hub\)$"):
        export_open_clip(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_finished_run_leaves_as_a_folder(lora, data_root, tmp_path):
    model = load_model(lora, data_root, "cpu")
    clip, _, tokenizer = by_open_clip(export_open_clip(model, tmp_path))
    images, tokens = images_for(model.backbone), tokenizer(["a pond", "a beach by the sea"])
    assert (embed(clip, images, tokens) - embed(model, images, tokens)).abs().max() <= 1e-5
    assert backbone.fingerprint(backbone.load(str(tmp_path)).clip) == backbone.fingerprint(clip)


def test_a_text_tower_of_hugging_face_brings_its_tokenizer(tmp_path):
    import transformers  # takes seconds

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "river"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    transformers.BertConfig(
        vocab_size=len(words), hidden_size=48, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    ).save_pretrained(tmp_path / "bert")
    bert = str(tmp_path / "bert")
    text = {"hf_model_name": bert, "hf_tokenizer_name": bert, "hf_model_pretrained": False, "hf_proj_type": "linear"}
    config = {**SMALL, "text_cfg": text}
    tokenizer = open_clip.tokenizer.HFTokenizer(bert)
    clip = open_clip.CustomTextCLIP(**config)
    open_clip.model.set_model_preprocess_cfg(clip, vars(open_clip.transform.PreprocessCfg()))
    model = moved(attach(backbone.Backbone(clip, None, tokenizer, config), "full"))

    again, _, its_tokenizer = by_open_clip(export_open_clip(model, tmp_path / "out"))
    tokens = its_tokenizer(["a river"])
    assert torch.equal(tokens, tokenizer(["a river"])) and (tokens > 2).any()
    images = images_for(model.backbone)
    assert (embed(again, images, tokens) - embed(model, images, tokens)).abs().max() <= 1e-5
