"""Starting processes, and locks between them."""
