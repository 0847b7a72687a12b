"""How each network is trained if nothing else is said: the paper's way, and ours."""

from repro.training.trainer import TrainingConfig

RECIPES = {
    "paper_unet": TrainingConfig(),
    "baseline_unet": TrainingConfig(learning_rate=1e-4, patience=10),
    "res_unet": TrainingConfig(
        weight_decay=1e-4,
        clip_norm=1.0,
        warmup_epochs=5,
        cosine=True,
        patience=50,
        ema=0.999,
        augment=True,
        own_output=0.25,
    ),
}
