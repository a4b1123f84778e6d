"""Parts of the benchmark of crashes: a process that writes until it is killed, and what is checked afterwards."""
