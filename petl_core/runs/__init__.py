"""Runs: trained once, resumed when killed, read from then on.

folder       what a run leaves on disk, and the schema of its metrics; without torch
experiment   ``run(RunConfig)``: train, choose on validation, test once
testing, scene_tests   the one look at the test split, with and without scene labels
collecting   many runs, and why some are missing
batch        many runs side by side, each in its own process
study        a section of study.yaml as notebooks and runs; without torch
tuned        settings that one section chooses and others use
graph        a section made by Snakemake
progress     what is left of a section, one line at a time
provenance   versions, revision, machine, digests of inputs
"""
