"""Read updates from files and the command line, and check them."""
