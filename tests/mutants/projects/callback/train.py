import argparse

from callbacks import MLflowCallback
from trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.1)
    args = parser.parse_args()
    Trainer(vars(args), MLflowCallback()).train()


if __name__ == "__main__":
    main()
