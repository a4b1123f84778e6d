"""What the command line does; each command is a function that a script could call too."""
