"""Numbers: responses sampled, judged and scored."""
