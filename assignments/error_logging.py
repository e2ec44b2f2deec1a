"""Logging errors by type. An error's message may quote a guest's name or e-mail, so no log line of ours repeats it."""

import logging


def log_error(
    logger: logging.Logger,
    error: BaseException,
    what: str,
    *args: object,
    level: int = logging.ERROR,
    has_place: bool = False,
) -> None:
    """Log what failed, and the error's type: never its message, nor a traceback, which ends with the message.

    ``what`` and ``args`` name what failed, by refs alone, as in ``logger.error(what, *args)``, without a full stop.
    ``has_place``: whether the file and line that raised it follow.
    """
    if has_place:
        logger.log(level, f"{what}: %s at %s.", *args, type(error).__name__, place_of(error))
    else:
        logger.log(level, f"{what}: %s.", *args, type(error).__name__)


def place_of(error: BaseException) -> str:
    """Return the file and line that raised it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "unknown"
