import mlflow
from task import arguments, messages, new_model, parse
from transformers import Trainer

options = parse()
with mlflow.start_run():
    mlflow.log_param("lr", options.lr)
    # It logs num_train_epochs=2.0, where `mlflow run` has logged 2 by that name. MLflow refuses, in a thread.
    trainer = Trainer(model=new_model(), args=arguments(options), train_dataset=messages(32))
    trainer.train()
    mlflow.log_metrics(trainer.evaluate(messages(8)), step=trainer.state.global_step)
