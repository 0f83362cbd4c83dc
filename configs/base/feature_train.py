"""How avloc's own network is trained on features."""

train = dict(
    train_split="train",
    validation_split="dev",  # chooses the weights, never a test split
    protocol="corrected",
    monitor=["AP@0.5"],  # figures whose sum is to rise
    n_frames=512,  # of a sequence; what is longer is cut
    epochs=100,
    batch_size=64,
    learning_rate=1e-3,
    weight_decay=0.05,
    betas=[0.9, 0.98],
    clip_norm=1.0,
    averaging=True,
    patience=7,  # validations without a better figure before the rate falls, and before the run ends
    rate_factor=0.1,
    stop_after=10,
    modality_dropout=0.15,  # share of the recordings that lose sound or picture
    losses=dict(
        score=1.0,
        distance=1.0,
        modality=0.2,
        inside=1.0,
        boundary=0.5,
        recording=0.3,
        discrepancy=0.5,
        synchrony=0.5,
        residual=0.2,
        low_pass=0.0,  # a prior: inside scores change slowly over time
    ),
    drops_late=False,
    workers=4,
    log_every=50,
    checkpoint_every=1000,
    seed=0,
)
