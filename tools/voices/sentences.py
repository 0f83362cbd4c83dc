"""Sentences that nobody has to look up: a small grammar with enough words for some millions of them."""

import numpy as np

WHO = (
    "the driver", "my sister", "our neighbour", "the manager", "his lawyer", "a nurse", "the committee",
    "the young teacher", "her grandfather", "the bank", "everybody here", "nobody at the office",
    "the woman from the agency", "a friend of mine", "the captain", "their accountant", "the landlord",
    "the second engineer", "your brother", "the people downstairs", "a journalist", "the technician",
)  # fmt: skip
DID = (
    "has paid for", "wanted to see", "forgot", "will never sell", "talked about", "could not find",
    "is looking for", "sent back", "asked me about", "has finally repaired", "was waiting for", "refused",
    "is going to buy", "complained about", "had already heard of", "brought", "should have checked",
    "keeps asking for", "never mentioned", "recognized", "might need", "gave up",
)  # fmt: skip
WHAT = (
    "the old car", "seven hundred dollars", "a different contract", "the keys to the garden", "three tickets",
    "the red umbrella", "that strange letter", "a cup of coffee", "the new password", "the first chapter",
    "my account number", "a quiet room", "the wrong medicine", "two boxes of paper", "the whole story",
    "their last invoice", "the kitchen window", "a small blue package", "the signature", "fresh bread",
    "an honest answer", "the map of the valley", "thirty five thousand euros", "the other recording",
)  # fmt: skip
WHEN = (
    "yesterday", "before breakfast", "on Thursday afternoon", "at half past nine", "during the meeting",
    "for the third time", "last winter", "in the middle of the night", "without a word", "by mistake",
    "after the phone call", "since the beginning of June", "just in time", "every other week", "on the train",
    "as usual", "in front of the hotel", "this morning", "a little too early", "when it was raining",
)  # fmt: skip
LINK = ("and", "but", "because", "although", "while", "so", "which is why", "unless", "even if")
OPENING = ("I think", "Listen", "To be honest", "As far as I know", "By the way", "You know", "Well", "Sorry")
SAYING = (
    "Please call me back when it is done.", "Can you hear me now?", "That is not what we agreed on.",
    "Thank you very much for your patience.", "Where did you put it?", "I will be there in twenty minutes.",
    "Do not open the door for anyone.", "It was cheaper than we thought.", "How long is it going to take?",
    "Yes, that is exactly what I meant.", "No, we have never met before.", "Wait a moment, please.",
    "The answer is on the other side of the page.", "Somebody has to tell him the truth.",
)  # fmt: skip


def draw_sentence(rng: np.random.Generator) -> str:
    """Draw a sentence of 3 to about 25 words with its punctuation."""
    kind = rng.random()
    if kind < 0.12:
        return str(rng.choice(SAYING))
    sentence = _clause(rng)
    if kind > 0.55:
        link = str(rng.choice(LINK))
        sentence += f", {link} {_clause(rng)}" if rng.random() < 0.7 else f" {link} {_clause(rng)}"
    if rng.random() < 0.2:
        sentence = f"{rng.choice(OPENING)}, {sentence}"
    return sentence[0].upper() + sentence[1:] + ("?" if rng.random() < 0.1 else ".")


def _clause(rng: np.random.Generator) -> str:
    parts = [rng.choice(WHO), rng.choice(DID), rng.choice(WHAT)]
    if rng.random() < 0.5:
        parts.append(rng.choice(WHEN))
    return " ".join(str(part) for part in parts)
