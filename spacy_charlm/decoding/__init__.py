"""Find the words nearest to a vector. This subpackage does not depend on Docs."""
