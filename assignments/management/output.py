"""Print the output of commands; a full disk or a closed pipe does not stop their work."""

import os
from contextlib import suppress
from typing import Any

from django.core.management.base import OutputWrapper


class Output(OutputWrapper):
    """A stream that never raises when it cannot be written to. ``error``: the first error, or None."""

    error: OSError | None = None

    @classmethod
    def instead_of(cls, wrapper: OutputWrapper) -> "Output":
        output = cls(wrapper._out)  # type: ignore[arg-type]  # noqa: SLF001
        output.style_func = wrapper.style_func
        return output

    def write(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        try:
            super().write(*args, **kwargs)
        except OSError as error:
            self.error = self.error or error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.error = self.error or error

    def end(self) -> None:
        """Flush the buffer. What cannot be written is dropped, because Python would report an error at exit."""
        try:
            self._out.flush()  # type: ignore[attr-defined]
        except OSError as error:
            self.error = self.error or error
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._out.fileno())  # type: ignore[attr-defined]
                os.close(nowhere)
        except AttributeError:
            return  # Anything with ``write`` can be given as output.
