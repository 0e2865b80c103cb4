"""The embedded all-in-one stack."""
