"""Searching your own imagery, or a data set's test split, by text or by image.

options    which tiles a large image is cut into (files are read by petl_core.data.images)
models     the model to search with, and what distinguishes models
index      ``index(folder, model)``: embeddings of a folder's images on disk, made once, kept up to date
gallery    ``Gallery``: images, searched by text or by image; ``Captions``: texts, searched by image
command    ``python -m petl_core search``
"""
