"""Everything that can be set, 60 values; the command line gives a handful of them."""

import argparse
import os
from dataclasses import dataclass, fields


@dataclass
class Config:
    # model
    arch: str = "transformer"
    encoder_layers: int = 6
    encoder_embed_dim: int = 512
    encoder_ffn_embed_dim: int = 2048
    encoder_attention_heads: int = 8
    encoder_normalize_before: bool = False
    encoder_learned_pos: bool = False
    encoder_layerdrop: float = 0.0
    decoder_layers: int = 6
    decoder_embed_dim: int = 512
    decoder_ffn_embed_dim: int = 2048
    decoder_attention_heads: int = 8
    decoder_normalize_before: bool = False
    decoder_learned_pos: bool = False
    decoder_layerdrop: float = 0.0
    share_all_embeddings: bool = True
    activation_fn: str = "relu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    layernorm_embedding: bool = False
    max_source_positions: int = 1024
    max_target_positions: int = 1024
    # task and data
    task: str = "translation"
    source_lang: str = "de"
    target_lang: str = "en"
    left_pad_source: bool = True
    left_pad_target: bool = False
    truncate_source: bool = False
    num_workers: int = 1
    max_tokens: int = 4096
    max_sentences: int | None = None
    required_batch_size_multiple: int = 8
    shuffle: bool = True
    # criterion
    criterion: str = "label_smoothed_cross_entropy"
    label_smoothing: float = 0.1
    report_accuracy: bool = True
    # optimizer and schedule
    optimizer: str = "adam"
    adam_betas: tuple[float, float] = (0.9, 0.98)
    adam_eps: float = 1e-8
    lr: float = 0.25
    min_lr: float = 1e-9
    lr_scheduler: str = "inverse_sqrt"
    warmup_updates: int = 4000
    warmup_init_lr: float = 1e-7
    weight_decay: float = 1e-4
    clip_norm: float = 0.0
    update_freq: int = 1
    max_epoch: int = 0
    max_update: int = 0
    fp16: bool = False
    seed: int = 1
    # checkpoints and generation
    save_dir: str = "checkpoints"
    save_interval: int = 1
    keep_last_epochs: int = -1
    patience: int = -1
    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float = 1.2
    max_len_b: int = 10


def parse():
    """The options as they were given, and the configuration in use."""
    parser = argparse.ArgumentParser()
    for name in ("arch", "lr", "clip-norm", "max-epoch", "save-dir"):
        parser.add_argument(f"--{name}")
    given = vars(parser.parse_args())
    types = {field.name: field.type for field in fields(Config)}
    config = Config(**{name: types[name](text) for name, text in given.items() if text is not None})
    config.save_dir = os.path.normpath(config.save_dir)
    if config.arch == "transformer_iwslt":
        config.encoder_ffn_embed_dim = config.decoder_ffn_embed_dim = 1024
        config.encoder_attention_heads = config.decoder_attention_heads = 4
    return given, config


def train(config):
    """The loss after each epoch."""
    for epoch in range(1, config.max_epoch + 1):
        yield epoch, 10.0 / (1 + epoch * config.lr * config.clip_norm)
