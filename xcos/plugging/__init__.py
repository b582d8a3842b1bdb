"""Plugs an xCos head into a face network: ``xcos.plug``."""

from .plug import Plugged, find_map, grid_settings, plug, read_network

__all__ = ["Plugged", "find_map", "grid_settings", "plug", "read_network"]
