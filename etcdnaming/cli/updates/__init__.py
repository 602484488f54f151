"""From the changes that people write, in files and flags, to updates that can be made."""
