"""Prometheus metrics, structured logs and health endpoints."""
