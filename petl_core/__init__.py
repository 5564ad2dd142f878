"""Parameter-efficient transfer learning of CLIP for remote sensing image-text retrieval.

The rooms, in the order in which data flows through them:

    parameters, config   what a notebook or a batch asks for; importable without torch
    data, audit          a captioned image set on disk, and what is odd about it
    scenes, embedded     the drawn default data and the small CLIP pre-trained on them
    backbone             open_clip towers: load, freeze, tokenise
    adapters             one method a file; ``attach(clip, method, **options)``
    losses               contrasts and the hybrid multi-modal contrastive (HMMC) loss
    retrieval            ranks, recalls, mR, intervals
    experiment           ``run(RunConfig)`` -> ``runs/<hash>/``
    figures              tables, plots, galleries
"""
