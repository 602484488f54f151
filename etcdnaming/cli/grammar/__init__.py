"""What words on the command line mean, and how the pages that explain them are laid out."""
