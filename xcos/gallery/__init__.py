"""Search among many people, and why: a gallery kept by LanceDB. Needs ``pip install xcos[gallery]``.

    gallery = xcos.Gallery("people")
    gallery.add("Ann", ["ann_1.jpg", "ann_2.jpg"])
    hits = gallery.search("someone.jpg")
    hits.nobody or hits[0].explain().save("why.png")
"""

from .cluster import Cluster, Clusters, cluster
from .enrol import Enrolled
from .gallery import Gallery, GalleryInfo
from .hits import Hit, Hits, Probe
from .links import Link
from .threshold import Threshold

__all__ = [
    "Cluster", "Clusters", "Enrolled", "Gallery", "GalleryInfo", "Hit", "Hits", "Link", "Probe", "Threshold", "cluster",
]  # fmt: skip
