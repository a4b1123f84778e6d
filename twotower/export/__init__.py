"""Write items and events as files that `twotower index` and `twotower record` read back as they were."""
