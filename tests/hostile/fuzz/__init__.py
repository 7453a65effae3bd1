"""Coverage-guided fuzzing of everything that reads what others wrote.

`targets` says what is fed and which errors are answers; `run` feeds it, with atheris; the tests
beside replay what was once found and mutate the seeds without atheris, on every Python.
"""
