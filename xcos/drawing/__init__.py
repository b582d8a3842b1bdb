"""Pictures, by matplotlib, of what results hold; they do not know the results."""
