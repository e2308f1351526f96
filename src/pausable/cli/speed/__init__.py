"""`pausable speed`: how fast operations are as pausable jobs, and without."""
