"""Searching your own imagery, or a data set's test split, by text or by image.

options, tiles, reading   how images are read: windows of large ones, bands and stretch of GeoTIFF
scanning                  which files a folder holds, and which of them are new
store                     an index on disk, complete whenever it is read
index                     ``index(folder, model)``: embeddings of a folder's images on disk, made once, kept up to date
exact                     the k best of any number of rows, in bounded memory
gallery                   ``Gallery``: images, searched by text or by image
captions                  ``Captions``: texts, searched by image
models                    the model to search with, and what distinguishes models
command                   ``python -m petl_core search``
"""
