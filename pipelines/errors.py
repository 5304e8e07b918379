"""What can go wrong in a stage, apart from Beam, so that the front door can name it without importing Beam."""


class StageError(RuntimeError):
    """A stage could not finish; the message names the unit and the cause. Finished units are kept."""
