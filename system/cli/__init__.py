"""The remote-render command."""
