"""Parameter-efficient transfer learning of CLIP for remote sensing image-text retrieval.

The rooms, in the order in which data flows through them:

    parameters, config       what a notebook or a batch asks for; importable without torch
    data, audit              a captioned image set on disk, and what is odd about it
    scenes, pretrain, embedded   the drawn default data and the small CLIP pre-trained on them
    backbone                 open_clip towers: load, freeze, tokenise
    adapters                 one method a file; ``attach(clip, method, **options)``
    losses, recycling, scene_labels   HMMC and its contrasts, queues of past negatives, labels in captions
    training, features, fitting   an epoch; taps of frozen towers on disk; all epochs with checkpoints
    retrieval                ranks, recalls, mR, intervals
    experiment, provenance   ``run(RunConfig)`` -> ``runs/<hash>/``
    comparison, ablation, published   methods over seeds, settings one by one, and the figures of the papers beside
    efficiency, queue_cost   what a training step costs
    embedding_space, gallery, focus_plots   where images and texts lie, what is retrieved, where the model looks
    figures, ablation_plots, outputs, report   plots; files that know where they came from; all on one page
    study                    a section of study.yaml as notebooks and runs; importable without torch
"""

from petl_core import lean_imports

lean_imports.install()  # before open_clip is imported anywhere
