"""The scenario file: model, loader, JSON schema and the library."""
