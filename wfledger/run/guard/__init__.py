"""What attempts may not change: looked at around them, and trusted or put back by a person."""
