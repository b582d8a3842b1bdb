"""What every room may need and what needs none of them: names, values, foreign files."""
