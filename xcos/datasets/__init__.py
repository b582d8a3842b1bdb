"""Verification benchmarks in the forms they come in, each read into :class:`Pairs`; pictures of people: :class:`Faces`.

    xcos.datasets.read_bin("lfw.bin")                        InsightFace: aligned crops and labels, pickled
    xcos.datasets.read_bcolz("data/lfw")                     InsightFace_Pytorch: bcolz carray and name_list.npy
    xcos.datasets.read_lfw("pairs.txt", "lfw.tgz")           LFW: list of pairs, photographs as folder or tar
    xcos.datasets.read_csv("pairs.csv")                      a table of paths, labels and groups
    xcos.datasets.read_mfr2("mfr2/")                         people with masks: pairs, and the kind of mask as a group
    xcos.datasets.read_rmfd("RMFD/")                         two folders of people, with masks and without
    xcos.datasets.read_faces("people/")                      a folder person/picture, a tar of the same, or a .rec
    xcos.datasets.read_templates("gallery.csv")              IJB-A, -B, -C: template, subject, file; or such a folder
    xcos.datasets.pairs_of(faces)                            pairs of one person and of two among such faces
    xcos.datasets.wear                                       faces with masks or sunglasses on, and parts of faces

Nothing is downloaded. Images are decoded only when features are wanted of them.
"""

from . import wear
from .coverings import read_mfr2, read_rmfd
from .groups import with_groups
from .pairing import pairs_of
from .pairs import Pairs
from .people import Faces, join, read_faces
from .readers import read, read_bcolz, read_bin, read_csv, read_lfw
from .templates import Templates, all_pairs, read_templates

__all__ = [
    "Faces", "Pairs", "Templates", "all_pairs", "join", "pairs_of", "read", "read_bcolz", "read_bin", "read_csv",
    "read_faces", "read_lfw", "read_mfr2", "read_rmfd", "read_templates", "wear", "with_groups",
]  # fmt: skip
