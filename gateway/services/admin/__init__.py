"""What operators look at: the cluster as a whole, its alerts, and its numbers."""
