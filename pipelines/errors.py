"""What can go wrong in a stage, kept apart so that the front door names it without importing Beam."""


class StageError(RuntimeError):
    """A stage could not finish; the message names the unit and the cause. Finished units are kept."""
