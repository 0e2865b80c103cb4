"""Versioned records, logs and channels shared by every process."""
