"""Plugs an xCos head into a face network: ``xcos.plug``."""

from ..plan.maps import find_map, grid_settings
from .plug import Plugged, plug, read_network

__all__ = ["Plugged", "find_map", "grid_settings", "plug", "read_network"]
