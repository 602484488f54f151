"""Pass the changes of a watch to stdout, stderr and a command."""
