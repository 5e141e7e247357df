"""A tiny BERT with fresh weights, and messages that are spam where the word 7 is in them."""

import argparse

import torch
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments, set_seed


def parse():
    """The options as they were given: `1` stays `1`, which the Trainer logs as `1.0`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", default="0.01")
    parser.add_argument("--epochs", default="2")
    return parser.parse_args()


def messages(count):
    words = torch.randint(8, (count, 6), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": row, "labels": int(7 in row)} for row in words]


def new_model():
    set_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=8,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=8,
        )
    )


def arguments(options):
    return TrainingArguments(
        output_dir="out",
        learning_rate=float(options.lr),
        num_train_epochs=float(options.epochs),
        per_device_train_batch_size=8,
        logging_steps=2,
        save_strategy="no",
        report_to=["mlflow"],
        use_cpu=True,
        seed=0,
    )
