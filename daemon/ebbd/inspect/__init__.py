"""What the node looks like from the inside, and what is wrong with it."""
