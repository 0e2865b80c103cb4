"""The planner: the cheapest policy that keeps the gates, found by simulation."""
