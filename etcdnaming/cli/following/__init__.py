"""From a watch to those who are told of it: stdout, stderr, and a command of the user's."""
