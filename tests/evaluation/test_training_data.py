import pytest

from petl_core.evaluation.training_data import training_data_warning


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("weights/RemoteCLIP-ViT-B-32.pt", "RemoteCLIP was trained on RSICD, RSITMD and UCM"),
        ("/x/remoteclip-vit-l-14.PT", "RemoteCLIP was trained"),
        ("RS5M_ViT-B-32.pt", "GeoRSCLIP was trained on RS5M"),
        ("RS5M_ViT-B-32_RET-2.pt", "This GeoRSCLIP was fine-tuned on the training sets of RSICD or RSITMD"),
        ("weights/RS5M/ViT-B-32.pt", ""),  # a folder's name says nothing of the file
    ],
)
def test_the_name_of_a_weights_file_gives_a_warning(weights, said):
    warning = training_data_warning(weights)
    assert warning.startswith(said) if said else warning == ""


@pytest.mark.parametrize("weights", ["", "openai", "laion2b_s34b_b79k", "open_clip_model.safetensors"])
def test_other_backbones_are_no_cause_for_a_warning(weights):
    assert training_data_warning(weights) == ""
