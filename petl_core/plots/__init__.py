"""Plots: frames of numbers in, a matplotlib ``Figure`` out; and what of them is kept on disk.

The look they share, a method's own included (style); names and markers in crowded plots (layout); plots by what they
show (recalls, trade_offs, forest, history, tuning, ablation, negatives, drift, cost, focus, embedding_space, gallery,
data_audit, scene_labels); figures and tables as files that know where they came from (outputs; tables by latex, too),
and all of them on one page (report).
"""
