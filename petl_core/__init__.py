"""Parameter-efficient transfer learning of CLIP for remote sensing image-text retrieval.

    paths, files, validation, notebook_parameters   the ground: where things are, whole or absent, checked
    lean_imports, measuring   heavy imports wait for their first use; what a computation costs
    losses, recycling    HMMC and its contrasts; queues of past negatives
    data/                captioned image sets on disk: layouts, splits, scenes, what is odd about them
    config, retrieval, checkpoints, backbone   what identifies a run; recalls; open_clip towers, frozen
    adapters/            the methods, one family a file; ``attach(backbone, method)``
    training/            a split as tensors, an epoch, all epochs, pre-training
    runs/                ``run(RunConfig)`` -> ``runs/<hash>/``; many of them; the sections of study.yaml
    search/              images of one's own folder or of a test split, found by text or by image
    evaluation/          comparisons, ablations, costs, embedding spaces: numbers alone
    export/              what leaves: embeddings, models folded for open_clip, adapters to publish
    paper/               the published tables by one command, and what is checked before
    explore/             widgets that ask a model by hand, in JupyterLab
    plots/               frames in, figures out; files that know where they came from

Each room imports only from those above it in this list.
"""

import os

from petl_core import lean_imports

# Threads that wait must not spin: beside other work on the machine that costs more than it saves. It counts until the
# first library with threads is loaded, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
lean_imports.install()  # before open_clip is imported anywhere
