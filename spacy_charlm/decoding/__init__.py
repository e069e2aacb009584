"""From vectors back to words. No Docs in here."""
