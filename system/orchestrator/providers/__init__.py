"""Providers start and stop workers."""
