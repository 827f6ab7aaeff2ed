"""How the weights get to where the loss is small: the objective, its batches, and the solvers that go down on it."""
