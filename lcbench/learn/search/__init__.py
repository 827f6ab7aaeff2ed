"""Hyperparameter search: which points to try, pools that train them, and the search file to resume from."""
