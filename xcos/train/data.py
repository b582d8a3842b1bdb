"""The faces of training, where programs first imported them from; they are read by ``xcos.datasets.people``."""

from ..datasets.people import Faces, join, read_faces

__all__ = ["Faces", "join", "read_faces"]
