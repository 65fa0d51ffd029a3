"""Extract answers from what a language model wrote, and compare them with references."""
