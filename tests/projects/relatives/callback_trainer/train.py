import mlflow
from task import arguments, messages, new_model, parse
from transformers import Trainer

options = parse()
# The callback joins the run that is active, and leaves its end to whoever started it.
with mlflow.start_run():
    mlflow.log_params(vars(options))
    trainer = Trainer(model=new_model(), args=arguments(options), train_dataset=messages(32))
    trainer.train()
    mlflow.log_metrics(trainer.evaluate(messages(8)), step=trainer.state.global_step)
