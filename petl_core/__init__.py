"""Parameter-efficient transfer learning of CLIP for remote sensing image-text retrieval.

Start reading at

    config.RunConfig   everything that identifies a run
    runs.run.run       RunConfig -> a finished run in runs/<hash>/, top to bottom
    training           the loop: batch -> embeddings -> loss -> step -> checkpoint
    adapters.attach    a frozen CLIP and a method -> a model to train
    tables, plots      finished runs -> tidy frames -> figures

CONTRIBUTING.md has the map.
"""

import os

from petl_core import lazy_imports

# Waiting threads must not spin: with other work on the machine, that costs more than it saves. The variable is read
# when the first library with threads is loaded, so it is set here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
lazy_imports.install()  # before open_clip is imported anywhere
