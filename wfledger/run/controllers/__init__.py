"""Controllers: the tasks that decide what other tasks there are (spec 92).

`driving` asks the controllers that are due and applies what they answer; each kind has a module of
its own that says what comes next, as a value of `moves`.
"""
