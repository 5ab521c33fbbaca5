"""What is asked and answered: rows of problems and examples for every stage. No JAX."""
