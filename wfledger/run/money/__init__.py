"""What runs cost and may cost: routes and providers, breakers, budgets, the card."""
