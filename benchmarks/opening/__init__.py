"""Time to open a store and the memory that it holds."""
