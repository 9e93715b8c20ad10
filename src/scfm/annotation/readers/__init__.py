"""One reader per provider's format, each from a file to a plain table or graph."""
