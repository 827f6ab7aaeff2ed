"""Right, by PyTorch's automatic differentiation."""
import torch


def softmax_loss_autograd(W, X, y, reg):
    W = torch.tensor(W, requires_grad=True)
    X = torch.tensor(X.copy()).to(W.dtype)
    loss = torch.nn.functional.cross_entropy(X @ W, torch.tensor(y.astype("int64"))) + reg * (W ** 2).sum()
    loss.backward()
    return loss.item(), W.grad.numpy()
