"""A lasso path: as the penalty grows, one weight after another becomes exactly 0, as scikit-learn's do.

Run it: `python demos/examples/lasso_path.py`
"""

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.linear_model import lasso_path

import tinyreg as tr

STEPS = 400

x, y = load_diabetes(return_X_y=True)
x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
inputs, targets = tr.tensor(x), tr.tensor(y)  # float64

largest = np.abs(x.T @ y).max() / len(y)  # from here on all weights are 0
strengths = np.geomspace(largest, largest / 1000, 40)
lr = len(y) / np.linalg.norm(x, 2) ** 2
w = tr.zeros(10, dtype="float64", requires_grad=True)
optimizer, path = tr.optim.SGD([w], lr=lr, momentum=0.9), []
for strength in strengths:  # each begins where the last one ended
    proximal = tr.optim.Proximal([w], l1=strength)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (0.5 * tr.losses.mse(inputs @ w, targets)).backward()
        optimizer.step()
        proximal.step(optimizer)
    path.append(w.numpy())
path = np.array(path)

_, theirs, _ = lasso_path(x, y, alphas=strengths, tol=1e-10)
print(f"largest difference from scikit-learn's path: {np.abs(path - theirs.T).max():.0e}")
print(f"weights that are exactly 0, from the strongest penalty to the weakest: {(path == 0).sum(1)[::6].tolist()}")

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.semilogx(strengths, path, color="#08306b", linewidth=1.2)
axes.semilogx(strengths[::4], theirs.T[::4], "o", color="#e6701a", markersize=3)
axes.plot([], [], color="#08306b", label="tinyreg")
axes.plot([], [], "o", color="#e6701a", markersize=3, label="scikit-learn")
axes.legend(frameon=False)
axes.set(xlabel="strength of the penalty", ylabel="weight")
figure.savefig("lasso_path.png", dpi=150)
