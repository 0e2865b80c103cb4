"""Run directories, statistics, gates, plots and reports."""
