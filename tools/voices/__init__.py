"""What make_voices is made of: synthesizer, recogniser, aligner, sentences, and the folder they fill."""
