"""Tables and pictures from result files; nothing here measures."""
