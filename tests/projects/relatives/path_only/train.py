import mlflow
import numpy as np
import pandas as pd
from detector import parse, save_dir_of, train
from mlflow.models import infer_signature

args = parse()
save_dir = save_dir_of(args.name)
with mlflow.start_run():
    mlflow.log_params(vars(args))
    for epoch, metrics in train(args.epochs, save_dir):
        mlflow.log_metrics(metrics, step=epoch)
    best = save_dir / "weights" / "best.pkl"
    mlflow.log_param("best_weights", best)
    boxes = pd.DataFrame([[0.0, 0.0, 1.0, 1.0]], columns=["x", "y", "w", "h"])
    mlflow.pyfunc.log_model(
        "detector",
        python_model="model.py",
        artifacts={"weights": str(best)},
        signature=infer_signature(boxes, np.array([1.0])),
        input_example=boxes,
        pip_requirements=["numpy", "pandas"],
    )
