"""Files that appear whole or not at all, what is kept in them, and the progress of long loops."""
