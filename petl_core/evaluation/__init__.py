"""Numbers from finished runs, as data frames and sentences; nothing is plotted here.

Wording
names              methods, losses, metrics, data sets and backbones in words
captions           what a caption must say of its runs, and which runs failed
training_data      whether a published backbone has seen the test sets of this study
answers            what tables of differences say about a claim, as a paragraph

Grouping and statistics
grouping           runs that differ only in their seed, as groups
comparison         means, paired differences and verdicts, with intervals over seeds and test images
leaders            which rows are bold: those that may be the true best
factors            the settings that an ablation varies, read from a run
ablation           runs grouped by factors: table, differences, captions
tuning             settings chosen on validation

One question per file
per_run            what did each run score and cost?
learning_curves    had training converged?
by_scene           which scenes gain?
selection          what would choosing the epoch on the test set have shown?
recall_profile     how do recalls grow from R@1 to R@10?
labelled_queries   what do tests with known scene labels assume and score?
cmer               which parts of CMER does a run have?
focus              does the Focus-Adapter look at small targets, and find them?
negatives          do queues stand in for larger batches?
queue_drift        how stale do recycled negatives get?
embedding_space    where do images and texts lie before and after adaptation?
gallery_search     what does each query find?
published          what do the papers report?
paper              which of our runs reproduce a published row?

Measurements that run a model (only these import torch)
embedding          embeddings, focus maps and small targets found
efficiency         time and memory of a training step of each method
activation_memory  activation memory of a finished run's training step
queue_cost         time and memory of a queue of recycled negatives
"""
