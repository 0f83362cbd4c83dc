"""How DiMoDif and AuViRe are trained on features, as published unless a comment says otherwise."""

train = dict(
    train_split="train",
    validation_split="dev",  # chooses the weights, never a test split
    protocol="lavdf",
    # Figures whose sum is to rise. DiMoDif's code adds up all AP and AR of the validation; here the one that
    # tables begin with.
    monitor=["AP@0.5"],
    epochs=100,
    batch_size=64,  # of all processes together
    learning_rate=1e-3,
    weight_decay=0.0,  # so that it is Adam
    betas=[0.9, 0.999],
    clip_norm=None,
    averaging=False,
    # Validations: the rate falls after 7 without a better figure, the run ends after 10.
    patience=7,
    rate_factor=0.1,
    stop_after=10,
    # Weight of positives in the focal loss: AuViRe's; DiMoDif's is not known, and this avloc's choice for it.
    alpha=0.98,
    # A recording with a segment behind the window: the part inside counts. True: it is lost, as in the
    # public code.
    drops_late=False,
    workers=4,  # published: 22
    log_every=50,
    checkpoint_every=1000,
    seed=0,
)
