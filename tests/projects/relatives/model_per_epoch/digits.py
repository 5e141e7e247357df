import argparse

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

X, y = load_digits(return_X_y=True)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    return parser.parse_args()


def train(epochs):
    """The classifier after each epoch, with its score on what it hasn't seen."""
    classifier = SGDClassifier(random_state=0)
    for epoch in range(1, epochs + 1):
        classifier.partial_fit(X[:1500], y[:1500], classes=range(10))
        yield epoch, classifier, classifier.score(X[1500:], y[1500:])


def report(classifier):
    """How often each digit is recognised, as text."""
    right = classifier.predict(X[1500:]) == y[1500:]
    return "".join(f"{digit} {right[y[1500:] == digit].mean():.3f}\n" for digit in range(10))
