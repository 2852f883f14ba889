"""SQL of erasing."""
