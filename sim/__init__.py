"""Capacity models of warm pools."""
