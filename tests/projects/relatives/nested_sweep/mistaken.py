import mlflow
from search import Best, fit, parse

args = parse()
best = Best()
with mlflow.start_run():
    mlflow.set_tag("mlflow.runName", "sweep")
    mlflow.log_params(vars(args))
    for trial in range(1, args.trials + 1):
        hyp = best.next_hyp()
        # No run of its own for the trial: the second one changes what the first has logged.
        mlflow.log_params(hyp)
        losses = []
        for fold in range(1, args.folds + 1):
            with mlflow.start_run(run_name=f"fold-{fold}", nested=True):
                for epoch, loss in enumerate(fit(hyp, fold)):
                    mlflow.log_metric("val_loss", loss, step=epoch)
            losses.append(loss)
        mean = sum(losses) / len(losses)
        best.update(trial, hyp, mean)
        mlflow.log_metric("best_loss", best.loss, step=trial)
    mlflow.log_param("best_trial", best.trial)
