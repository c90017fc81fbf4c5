"""From a goal to a plan, and from a plan to the goal: drafts, rounds, judges."""
