"""What a step keeps is that of the run's own loss, options and batch, and is counted to the byte."""

import pytest
import small_worlds
import torch

from petl_core import adapters, backbone
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.evaluation.kept_bytes import kept_mib
from petl_core.losses import infonce
from petl_core.measuring import MIB, saved_bytes
from petl_core.runs.folder import Run
from petl_core.training import default_backbones, encoding

KNOWN = {"dataset": "scenes-mini", "backbone": "mini", "batch_size": 8}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        world = small_worlds.small_world(tmp_path_factory.mktemp("world"), patch)
        default_backbones.find_or_pretrain("mini", world["runs_root"], world["data_root"])
        yield world


@pytest.fixture
def kept(places):
    """MiB of a run with these fields, of which no more than the configuration is there."""

    def measure(**fields) -> float:
        config = RunConfig(**{**KNOWN, **fields})
        return kept_mib(Run(places["runs_root"] / config.hash, config, {}), places["data_root"])

    return measure


def test_it_is_what_autograd_keeps_of_that_loss_without_weights_and_inputs(places, kept):
    config = RunConfig(**KNOWN, method="bitfit")
    folder = places["runs_root"] / "backbones" / "mini"
    model = adapters.attach(backbone.load(str(folder)), "bitfit").train()
    split = default_data.load_or_draw("scenes-mini", places["data_root"]).train
    batch = encoding.prepare(split.subset(range(8)), model.backbone)
    images = model.backbone.normalise(torch.from_numpy(batch.inputs.pixels[batch.pixels_of.numpy()]))
    tokens = backbone.trim(batch.inputs.tokens[batch.tokens_of[::5]], model.clip)

    def step():
        embedded = model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)
        return infonce(*embedded, temperature=config.temperature)

    expected = saved_bytes(step, (*model.parameters(), *model.buffers(), images, tokens)) / MIB
    assert kept(method="bitfit") == pytest.approx(expected, rel=0.02)  # the batch's longest caption may differ


def test_it_repeats_itself_and_runs_of_one_batch_size_share_the_batch(kept):
    assert kept(method="mrs") == kept(method="mrs", learning_rate=1.0, epochs=9)


@pytest.mark.parametrize("fields", [{}, {"w_image": 1.0, "w_text": 1.0}, {"queue_size": 64}])
def test_cached_features_keep_the_same(kept, fields):
    assert kept(method="focus", cache_features=True, **fields) == kept(method="focus", **fields)


def test_the_deeper_the_gradient_and_the_more_terms_the_more_is_kept(kept):
    focus, mrs, full = (kept(method=method) for method in ("focus", "mrs", "full"))
    assert 0 < focus < mrs < full
    assert kept(method="mrs", w_image=1.0) > mrs
    assert kept(method="mrs", w_image=1.0, w_text=1.0) > 1.9 * mrs
    assert kept(method="mrs", batch_size=16) > 1.9 * mrs


def test_a_full_queue_counts_with_its_copies_whatever_its_warm_up(kept):
    plain, width = kept(method="mrs"), 64
    with_queue = kept(method="mrs", queue_size=512)
    assert with_queue - plain > 2 * 512 * width * 4 / MIB
    assert kept(method="mrs", queue_size=512, queue_warmup=100) == with_queue


def test_what_trains_nothing_keeps_nothing(kept):
    assert kept(method="zero_shot", epochs=0) == 0
    assert kept(method="mrs", epochs=0) == 0


def test_a_gradient_cache_is_not_measured(kept):
    assert kept(gradient_cache=4) != kept(gradient_cache=4)


def test_the_runs_folder_is_left_alone(places, kept):
    before = sorted(places["runs_root"].rglob("*"))
    kept(method="lst", cache_features=True)
    assert sorted(places["runs_root"].rglob("*")) == before


def test_labelled_captions_are_read_where_the_run_reads_them(kept):
    assert kept(scene_probability=1.0) > kept()
