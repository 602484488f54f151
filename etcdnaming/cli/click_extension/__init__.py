"""What differs from click: flags with values as in Go, commands loaded late, help pages."""
