"""Who a caller is, and how a caller proves it."""
