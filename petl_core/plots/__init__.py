"""Plots: data frames in, a matplotlib ``Figure`` out; and the files that are kept of them.

style             what all plots share: sizes, colours, markers, and the look of each method
layout            crowded plots: labels, outliers, log axes with a place for 0

recalls           recalls of methods: side by side, by scene, by how the epoch is chosen
trade_offs        recall against what it costs
forest            paired differences with their intervals
history           losses and validation mR by epoch
tuning            settings compared on validation
ablation          recall by the factors of an ablation
negatives         recall by the number of negatives
drift             how stale the features in a queue get
scene_labels      recall by what a test knows of scene labels
cost              memory and time of a training step
focus             maps of a Focus-Adapter over images
embedding_space   images and captions on a plane
gallery           queries with their best answers
data_audit        samples and captions of a data set

outputs           figures and tables as files, each with the runs that it came from
latex             tables as LaTeX
report            all outputs of a folder on one page
"""
