import mlflow
from detector import parse, save_dir_of, train

args = parse()
save_dir = save_dir_of(args.name)
with mlflow.start_run():
    mlflow.log_params(vars(args))
    for epoch, metrics in train(args.epochs, save_dir):
        mlflow.log_metrics(metrics, step=epoch)
    # The weights stay on the machine that trained them: the run knows only what they were called.
    mlflow.log_param("best_weights", save_dir / "weights" / "best.pkl")
