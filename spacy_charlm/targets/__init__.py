"""What is predicted: from Docs to vectors or ids, one or several per token."""
