"""Reading raw text and moving weights."""
