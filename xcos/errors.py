"""The exceptions of the package. Other bad arguments raise plain ValueError, TypeError or OSError."""


class XcosError(Exception):
    """Base of the errors that are the package's own.

    Examples
    --------
    >>> import xcos
    >>> try:
    ...     xcos.verify(b"no picture", b"none either")
    ... except xcos.XcosError as error:
    ...     type(error).__name__
    'ImageError'
    """


class ImageError(XcosError, ValueError):
    """A picture that cannot be read: damaged, truncated, too large, or no picture at all.

    Examples
    --------
    >>> import xcos
    >>> try:
    ...     xcos.read_image(b"no picture")
    ... except xcos.ImageError:
    ...     "no picture"
    'no picture'
    """


class NoFaceError(XcosError, ValueError):
    """No face was found in a picture.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> try:
    ...     xcos.crop(np.zeros((200, 200, 3), np.uint8))
    ... except xcos.NoFaceError:
    ...     "nobody"
    'nobody'
    """


class ModelFileError(XcosError, ValueError):
    """A model file, or a foreign network, that is damaged or that xcos cannot run.

    Examples
    --------
    >>> import xcos
    >>> try:
    ...     xcos.load("unknown")
    ... except xcos.ModelFileError as error:
    ...     str(error)[:24]
    "no model named 'unknown'"
    """
