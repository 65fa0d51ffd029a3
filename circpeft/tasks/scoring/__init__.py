"""Extract answers from generated text, and compare them with references."""
