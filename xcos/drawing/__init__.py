"""Pictures, by matplotlib, which is imported here and nowhere else but beside the results it draws."""
