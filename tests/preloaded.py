"""What a server that forks processes of tests has imported, and done once, before it forks any."""

from __future__ import annotations

import hypothesis  # noqa: F401
import numpy as np
import pyarrow as pa
import pytest  # noqa: F401
import torch.distributed.fsdp  # noqa: F401  (with all that several ranks use)

import trainer.dcp
import trainer.scaling.study
import trainer.selfcheck  # noqa: F401
from trainer import collector, gather, maps

pa.array([{"rows": 1}])  # Arrow imports pandas with the first rows that it takes, where it is there
_NO_ROWS = np.zeros(0, np.int32)
gather.gather(
    np.zeros(0, maps.SOURCE), _NO_ROWS, np.zeros((0, 2), np.int64), np.zeros(1, np.int32), _NO_ROWS > 0
)
collector.freeze_modules()
