"""The node shape of plans: reading, checking and compiling a tree of nodes (spec 95).

Pure, as all of `plans`. `shapes` reads a document into `model`, `rules` and `references` judge it
in the order of the original, `narrowing` says what each node may do within those around it.
"""
