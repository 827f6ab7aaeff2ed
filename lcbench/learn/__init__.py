"""Training of linear classifiers: recipes, objectives, solvers, the training loop, models, evaluation and search."""
