"""What needs a library of its own."""

import lightgbm
import mlflow
import torch
import xgboost
from data import EXAMPLE, X, Y
from mlflow.models import infer_signature


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.linear(x)


with mlflow.start_run():
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(X, Y), num_boost_round=3)
    mlflow.xgboost.log_model(booster, "xgboost", input_example=EXAMPLE, pip_requirements=["xgboost"])
    boosted = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, Y)
    mlflow.xgboost.log_model(boosted, "xgboost_sklearn", input_example=EXAMPLE, pip_requirements=["xgboost"])
    trees = lightgbm.train(
        {"num_threads": 1, "min_data_in_leaf": 2, "verbose": -1}, lightgbm.Dataset(X, Y), 3
    )
    mlflow.lightgbm.log_model(trees, "lightgbm", input_example=EXAMPLE, pip_requirements=["lightgbm"])
    torch.manual_seed(0)
    net, example = Net(), EXAMPLE.to_numpy("float32")
    with torch.no_grad():
        signature = infer_signature(example, net(torch.from_numpy(example)).numpy())
    mlflow.pytorch.log_model(
        net, "pytorch", signature=signature, input_example=example, pip_requirements=["torch"]
    )
