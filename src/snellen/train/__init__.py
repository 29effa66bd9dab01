"""Training: the vision encoder, supervised fine-tuning, and what reinforcement learning needs."""
