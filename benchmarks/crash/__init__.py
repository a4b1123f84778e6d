"""A store whose writer is killed."""
