"""Searching one's own imagery, or a data set's test split, by text or by image.

options, tiles, reading   how images are read: what is cut into which windows, bands and stretch of GeoTIFF
scanning                  which files a folder holds, and which of them are new
store                     an index on disk, whole whenever it is read
index                     ``index(folder, model)``: embeddings of a folder's images on disk, made once, kept up to date
exact                     the k best rows of any number, in bounded memory
gallery                   ``Gallery``: what one searches, by text or by image
captions                  ``Captions``: texts, found by an image
models                    the model to search with, and what tells models apart
command                   ``python -m petl_core search``
"""
