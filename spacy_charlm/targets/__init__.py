"""What is predicted: Docs in, vectors with a mask out."""
