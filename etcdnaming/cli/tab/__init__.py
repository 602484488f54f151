"""What the TAB key offers: the scripts for shells, and the answers to what they ask."""
