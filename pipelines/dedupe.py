"""The dedupe stage: all parts together, one unit whose work is itself a pipeline."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from corpus import dataset, files
from corpus.config import Config
from corpus.config import Dedupe as Settings
from corpus.counts import Counts
from corpus.dedup.store import SignatureStore
from corpus.schema import REMOVED, SURVIVORS
from pipelines import linking
from pipelines.options import Runner
from pipelines.progress import Beat
from pipelines.stage import Outcome, Planned, Stage, plan_unit

NAME = "dedupe"
VERSION = 1
