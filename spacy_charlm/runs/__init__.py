"""Many trainings: a run, and a study of rows × seeds."""
