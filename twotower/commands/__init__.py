"""The commands behind the command line; each is a function that a script can call too."""
