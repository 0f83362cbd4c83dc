"""DiMoDif for localization; the published sizes are the same for both data sets."""

from avloc.models.dimodif import DiMoDif

model = dict(
    type=DiMoDif,
    task="tfl",
    max_length=600,
    width=256,
    n_heads=8,
    hidden=512,
    n_layers=5,
    attention_window=15,
    pyramid=True,
    dropout=0.5,
    # The public code has padding attended to, which its weights learnt; who trains anew masks it.
    mask_padding=True,
    feature_channels=768,
)
