"""From vectors back to words. Knows no Doc."""
