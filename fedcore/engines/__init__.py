"""How a round is executed: in this process, in many, or as one array."""
