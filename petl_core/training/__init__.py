"""Training of a run and of the default backbones.

encoding        a split as tensors, and the encoders that read it
cache           arrays on disk, named by their inputs: pixels decoded once, features of frozen towers computed once
inputs          the inputs of a split from the cache
state           everything that training changes, and its checkpoint
epoch           batches, the loss of one, an epoch
scenes          batches balanced by scene, and a cross-entropy over scene labels
gradient_cache  batches larger than memory
epoch_weights   the trained weights after each validated epoch
fitting         all epochs, the best one chosen on validation
pretraining, default_backbones  the small CLIPs that are pre-trained here
"""
