"""Building blocks that every method shares; none of them knows which method it serves."""
