"""What avloc says about a recording, written down."""
