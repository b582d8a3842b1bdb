"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends without an error.

    Whoever opens `path` sees the old file or the whole new one, also after a crash or a loss of power: a
    temporary file beside it is written, brought to the disk, and renamed. A killed process may leave that
    temporary file (``.NAME.xxxxxxxx``), nothing else. Raises OSError, naming the file, where the folder cannot be
    written to or the disk is full; `path` is as it was then.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary), temporary):
            raise type(error)(error.errno, error.strerror, str(target)) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)
