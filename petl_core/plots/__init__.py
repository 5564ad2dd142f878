"""Plots: frames of numbers in, a matplotlib ``Figure`` out; and what of them is kept on disk.

The look they share (style); plots by what they show (recalls, parameters, history, ablation, negatives, drift, focus);
figures and tables as files that know where they came from (outputs), and all of them on one page (report).
"""
