"""One module for each table of the paper; every function returns the table as a DataFrame."""
