"""Optimizers: which parameters they change, with which rule, rate and weight decay.

Every parameter is in exactly one named group. A group keeps its `peak` learning rate; a step's rate is the
peak times the schedule's share of it (`set_rate`). Rates are plain floats, because no compiled code sees
them: a compiled step would be compiled again for every new value.

What a group's `peak` means:

- adamw, lion, lamb, adafactor: see their modules. lion moves every weight by the rate; lamb and adafactor
  move a matrix by about this share of the matrix's size.
- muon's matrices (`matrix_lr`): a step moves a matrix by a spectral norm of rate × sqrt(max(1, rows/cols)),
  so one value serves every width; AdamW (`lr`) changes all other parameters.
"""

from trainer.optim.build import Group, build, describe, groups, set_momentum, set_rate
from trainer.optim.skip import set_skip

__all__ = ["Group", "build", "describe", "groups", "set_momentum", "set_rate", "set_skip"]
