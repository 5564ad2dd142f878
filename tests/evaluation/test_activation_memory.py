"""Activation memory is that of the run's own loss, options and batch, counted to the byte."""

import math

import pytest
import small_worlds
import torch
from petl_core.runs.experiment import draw_images
from petl_core.runs.folder import Run
from petl_core.training.epoch import epoch_batches

from petl_core import adapters, backbone
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.evaluation.activation_memory import activation_mib
from petl_core.losses import infonce
from petl_core.measuring import MIB, activation_bytes
from petl_core.training import default_backbones, encoding

WIDTH = 64  # of the embeddings
KNOWN = {"dataset": "scenes-mini", "backbone": "mini", "batch_size": 8, "method": "adapter"}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        world = small_worlds.small_world(tmp_path_factory.mktemp("world"), patch)
        default_backbones.find_or_pretrain("mini", world["runs_root"], world["data_root"])
        yield world


@pytest.fixture
def activations(places):
    """Activation memory (MiB) of a run with these fields, of which only the configuration exists."""

    def measure(**fields) -> float:
        config = RunConfig(**{**KNOWN, **fields})
        return activation_mib(Run(places["runs_root"] / config.hash, config, {}), places["data_root"])

    return measure


def test_it_is_what_autograd_saves_for_that_loss_without_weights_and_inputs(places, activations):
    config = RunConfig(**KNOWN)
    model = adapters.attach(backbone.load(str(places["runs_root"] / "backbones" / "mini")), "adapter").train()
    split = default_data.load_or_draw("scenes-mini", places["data_root"]).train
    batch = encoding.prepare(draw_images(split, config.batch_size, config.seed), model.backbone)
    rows = next(epoch_batches(batch, config, epoch=1))
    pixels = batch.inputs.pixels[batch.image_rows[batch.image_of[rows]].numpy()]
    images = model.backbone.normalise(torch.from_numpy(pixels))
    tokens = backbone.trim(batch.inputs.tokens[batch.caption_rows[rows]], model.clip)

    def step():
        embedded = model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)
        return infonce(*embedded, temperature=config.temperature)

    assert activations() == activation_bytes(step, (*model.parameters(), *model.buffers(), images, tokens)) / MIB


def test_it_is_reproducible_and_runs_of_one_batch_size_share_the_batch(activations):
    assert activations() == activations(learning_rate=1.0, epochs=9)


@pytest.mark.parametrize("fields", [{}, {"w_image": 1.0, "w_text": 1.0}, {"queue_size": 64}])
def test_cached_features_need_the_same(activations, fields):
    assert activations(method="focus", cache_features=True, **fields) == activations(method="focus", **fields)


def test_it_grows_with_the_depth_of_the_gradient_and_the_number_of_terms(activations):
    adapter = activations()
    assert 0 < activations(method="focus") < adapter < activations(method="full")
    assert activations(w_image=1.0) > adapter
    assert activations(w_image=1.0, w_text=1.0) > 1.9 * adapter
    assert activations(scene_weight=1.0) > adapter
    assert activations(batch_size=16) > 1.9 * adapter


def test_all_scene_classes_have_a_prompt_though_the_batch_has_few(activations):
    few = activations(scene_weight=1.0, batch_size=2) - activations(batch_size=2)
    many = activations(scene_weight=1.0, batch_size=16) - activations(batch_size=16)
    assert few == pytest.approx(many, rel=0.1)


@pytest.mark.parametrize("fields", [{}, {"queue_keys": "ema"}])
def test_a_full_queue_counts_with_its_copies_whatever_its_warm_up(activations, fields):
    with_queue = activations(queue_size=512, **fields)
    assert with_queue - activations() > 2 * 512 * WIDTH * 4 / MIB
    assert activations(queue_size=512, queue_warmup=100, queue_ramp=9, **fields) == with_queue


@pytest.mark.parametrize("method", ["zero_shot", "adapter"])
def test_what_trains_nothing_saves_nothing(activations, method):
    assert activations(method=method, epochs=0) == 0


def test_a_gradient_cache_is_not_measured(activations):
    assert math.isnan(activations(gradient_cache=4))


def test_the_runs_folder_is_left_alone(places, activations):
    before = sorted(places["runs_root"].rglob("*"))
    activations(method="lst", cache_features=True)
    assert sorted(places["runs_root"].rglob("*")) == before


def test_labelled_captions_are_read_where_the_run_reads_them(activations):
    assert activations(scene_probability=1.0) > activations()
