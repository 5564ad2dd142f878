"""What published remote sensing backbones were trained on, where that overlaps with the data sets of this study."""

import re
from pathlib import Path

# By patterns for the names of their weights files, of which the first match counts. Each sentence gives its source.
TRAINED_ON = {
    r"remoteclip": (
        "RemoteCLIP was trained on RSICD, RSITMD and UCM among others, so its results there are not zero-shot and what "
        "is validation here may be training there; its authors removed near-copies of test images by perceptual hash "
        "(arXiv:2306.11029; issue 13 of its repository, where a reader found copies that the published list missed)."
    ),
    r"rs5m.*(ret-2|rsicd|rsitmd)": (
        "This GeoRSCLIP was fine-tuned on the training sets of RSICD or RSITMD, so its results there are not zero-shot "
        "and what is validation here may be training there; where both were joined (RET-2), copies were removed as in "
        "RemoteCLIP (arXiv:2306.11300, table II)."
    ),
    r"rs5m|georsclip": (
        "GeoRSCLIP was trained on RS5M (pairs from the web, FMoW, BigEarthNet, MillionAID), which by its authors holds "
        "no part of the training sets of RSICD and RSITMD (arXiv:2306.11300, section VI-B)."
    ),
}


def training_data_warning(pretrained: str) -> str:
    """What a caption must say about a backbone's training data; empty if the name of its weights file is not known.

    >>> training_data_warning("weights/RemoteCLIP-ViT-B-32.pt")[:46]
    'RemoteCLIP was trained on RSICD, RSITMD and UC'
    >>> training_data_warning("openai")
    ''

    Args:
        pretrained: of a :class:`~petl_core.config.RunConfig`: a tag or a weights file.
    """
    name = Path(pretrained).name.lower()
    return next((sentence for pattern, sentence in TRAINED_ON.items() if re.search(pattern, name)), "")
