"""The exceptions of the package. Other bad arguments raise plain ValueError, TypeError or OSError."""


class XcosError(Exception):
    """Base of the errors that are the package's own."""


class ImageError(XcosError, ValueError):
    """A picture that cannot be read: damaged, truncated, too large, or no picture at all."""


class NoFaceError(XcosError, ValueError):
    """No face was found in a picture."""


class ModelFileError(XcosError, ValueError):
    """A model file, or a foreign network, that is damaged or that xcos cannot run."""
