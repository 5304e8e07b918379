"""The message of a command that cannot continue."""

from __future__ import annotations

import errno
import os

import pytest
import typer

from commands.terminal import reported
from corpus.errors import ConfigError, DatasetError, NotThereError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/report.html"),
            1,
            "/x/report.html: not written",
        ),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), 1, "a file: not written"),
        (ConfigError("key = 1: odd"), 2, "key = 1: odd"),
        (DatasetError("lost"), 1, "lost"),
        (NotThereError("no such part"), 2, "no such part"),
    ],
)
def test_an_error_that_a_user_can_act_on_is_one_message(
    error: Exception, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, reported():
        raise error
    assert ended.value.exit_code == status
    assert said in capsys.readouterr().err


def test_other_errors_keep_their_trace() -> None:
    with pytest.raises(PermissionError), reported():
        raise PermissionError(errno.EACCES, "denied")
