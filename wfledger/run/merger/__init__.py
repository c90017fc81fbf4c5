"""From a finished attempt to the branch: checks, verdicts, merge, gate, swap, proof."""
